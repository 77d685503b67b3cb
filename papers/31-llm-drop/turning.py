"""How much each attention, MLP and block turns the residual stream, seen by hooks: with the residual and without it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VIEWS = ("attention", "mlp", "block", "attention, no residual", "mlp, no residual")


@dataclass(eq=False)
class Sums:
    """Running sums of one layer: cosines over positions, the same without the first one, lengths after over before."""

    cosines: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VIEWS, 0.0))
    later: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VIEWS, 0.0))
    longer: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VIEWS, 0.0))
    seen: dict[str, Tensor] = field(default_factory=dict)

    def add(self, view: str, before: Tensor, after: Tensor) -> None:
        """Add one batch, [rows positions channels] twice."""
        cosines = F.cosine_similarity(before.double(), after.double(), dim=-1)
        self.cosines[view] += float(cosines.sum())
        self.later[view] += float(cosines[:, 1:].sum())
        self.longer[view] += float((after.norm(dim=-1) / before.norm(dim=-1)).double().sum())


@torch.no_grad()
def turns(module: Any, rows: Tensor) -> dict[str, dict[str, list[float]]]:
    """View -> layer by layer the mean `cosine`, that of `later` positions than the first, how much `longer` it gets.

    `rows` [rows positions]. With the residual the cosine is that of the stream before a part adds to it and after;
    without, of what the part takes in, behind its norm, and of what it adds.
    """
    layers: Sequence[Any] = module.model.layers
    sums = [Sums() for _ in layers]
    hooks = [h for layer, s in zip(layers, sums, strict=True) for h in watched(layer, s)]
    try:
        for batch in rows.split(4):
            module(input_ids=batch, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    n, later = rows.numel(), rows[:, 1:].numel()
    return {
        v: {
            "cosine": [s.cosines[v] / n for s in sums],
            "later": [s.later[v] / later for s in sums],
            "longer": [s.longer[v] / n for s in sums],
        }
        for v in VIEWS
    }


def watched(layer: Any, sums: Sums) -> list[Any]:
    """Hooks that add to the sums of a layer what they see of each batch."""

    def keep(name: str, m: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del m
        sums.seen[name] = args[0] if args else kwargs["hidden_states"]

    def give(name: str, m: nn.Module, args: Any, out: Any) -> None:
        del m, args
        sums.seen[name] = out[0] if isinstance(out, tuple) else out

    def close(m: nn.Module, args: Any, out: Any) -> None:
        give("y", m, args, out)
        seen = sums.seen
        for view, before, after in zip(
            VIEWS, ("x", "h", "x", "n1", "n2"), ("h", "y", "y", "attention", "mlp"), strict=True
        ):
            sums.add(view, seen[before], seen[after])
        seen.clear()

    return [
        layer.register_forward_pre_hook(partial(keep, "x"), with_kwargs=True),
        layer.post_attention_layernorm.register_forward_pre_hook(partial(keep, "h"), with_kwargs=True),
        layer.input_layernorm.register_forward_hook(partial(give, "n1")),
        layer.post_attention_layernorm.register_forward_hook(partial(give, "n2")),
        layer.self_attn.register_forward_hook(partial(give, "attention")),
        layer.mlp.register_forward_hook(partial(give, "mlp")),
        layer.register_forward_hook(close),
    ]
