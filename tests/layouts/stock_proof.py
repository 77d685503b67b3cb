"""The second proof of a cut: the stock class, built from the config that holds it, computes what masking computes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from penjing.core import Axis, Layout
from penjing.core.pattern import kept_positions
from penjing.layouts import hold
from penjing.layouts.config.stock import build
from penjing.layouts.graph.inputs import example
from penjing.layouts.prove import proof


def stock_error(config: Mapping[str, Any], layout: Layout, axes: Sequence[Axis], count: int) -> tuple[float, float]:
    """How far the stock model with `count` random units of each axis is from the masked one, and the mask from nothing.

    Both are shares of the largest output. The second says that the masking changed something at all.
    """
    generator = torch.Generator().manual_seed(0)
    keep = {a.name: torch.randperm(a.size, generator=generator)[:count].sort().values for a in axes}
    new = hold(config, layout, {a: len(units) for a, units in keep.items()})
    whole = proof.randomised(build(config, device="cpu"), 0)
    inputs = {
        k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v
        for k, v in example(whole, device="cpu").items()
    }
    dense = outputs(whole, inputs)
    kept = {a: torch.zeros(layout.axes[a].size, dtype=torch.bool).index_fill(0, u, True) for a, u in keep.items()}
    weights, masked = {}, {}
    for tensor, value in whole.state_dict().items():
        pattern = layout.patterns.get(layout.aliases.get(tensor, tensor))
        cut, zeroed = value, value.clone()
        for dim, places in enumerate(kept_positions(pattern, kept) if pattern is not None else ()):
            if places is not None:
                cut = cut.index_select(dim, places)
                gone = torch.ones(value.shape[dim], dtype=torch.bool).index_fill(0, places, False)
                zeroed.index_fill_(dim, gone.nonzero().flatten(), 0.0)
        weights[tensor], masked[tensor] = cut, zeroed
    small = build(new, device="cpu").to(next(iter(weights.values())).dtype)
    small.load_state_dict(weights, strict=True)
    whole.load_state_dict(masked, strict=True)
    found, expected = outputs(small.double(), inputs), outputs(whole, inputs)
    return proof.error_of(found, expected), proof.error_of(expected, dense)


def outputs(module: Any, inputs: Mapping[str, Any]) -> list[Tensor]:
    """The logits, or the last hidden state of models without."""
    with torch.no_grad():
        found = module(**inputs)
    for name in ("logits", "prediction_logits", "last_hidden_state", "prediction_outputs", "predicted_depth"):
        if isinstance(getattr(found, name, None), Tensor):
            return [getattr(found, name)]
    return [v for v in found.values() if isinstance(v, Tensor)][:1]
