"""Which units are the same number whatever goes in, found by running a module and shown by varying its weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Layout
from penjing.core.copies import copy_of
from penjing.select.dead import Constants, bias_of
from penjing.select.units import places, rows

SCALES = (1.0, 1e4, 1e8)
"""How large the weights are that stand in for those that are not zero; large ones open any activation."""

Run = Callable[[nn.Module, Any], Any]


def constants(
    module: nn.Module, layout: Layout, silent: Mapping[str, Tensor], run: Run, inputs: Sequence[Any], *, seed: int = 0
) -> Constants:
    """What the readers of units get, where that is one number.

    `silent` maps an axis to units (bool) that some tensor writes with zeros. Rows of these units that are not zero are
    replaced by random numbers of three scales: a unit that then still gives its readers the same number, at every
    position and for all `inputs` (in float64), does not depend on them. So a gated unit is found, and one that happens
    to be silent on some data is not. The module stays as it is.
    """
    readers = {t: d for a in silent for t, d in layout.readers(a)}
    watched = {t: m for t in readers if (m := _layer(module, t, layout)) is not None}
    unseen = {
        a: f"{t} belongs to no layer whose input can be watched"
        for a in silent for t, _ in layout.readers(a) if t not in watched
    }  # fmt: skip
    axes = {a: u for a, u in silent.items() if a not in unseen}
    copied = copy_of(module).double().eval().requires_grad_(requires_grad=False)
    seen: dict[str, list[Tensor]] = {t: [] for t in watched}
    generator = torch.Generator().manual_seed(seed)
    with watching(copied, seen):
        for scale in (None, *SCALES):
            if scale is not None:
                _vary(copied, layout, axes, scale, generator)
            for given in inputs:
                with torch.no_grad():
                    run(copied, given)
    unseen |= {a: f"{t} was not run" for a in axes for t, _ in layout.readers(a) if not seen[t]}
    return Constants(
        values={t: _one_number(spans) for t, spans in seen.items() if spans},
        unfoldable={t: why for t, layer in watched.items() if (why := _unfoldable(t, layer))},
        unseen=unseen,
    )


def alike(example: Any, *, seed: int = 0) -> list[Any]:
    """An example, in float64 where it is floating, then others like it: random, ten times as large, and zeros.

    Whole numbers are drawn anew from those of the example; flags stay.
    """
    generator = torch.Generator().manual_seed(seed)

    def other(value: Any, scale: float | None) -> Any:
        if isinstance(value, Mapping):
            return {k: other(v, scale) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(other(v, scale) for v in value)
        if not isinstance(value, Tensor) or value.dtype == torch.bool:
            return value
        if value.is_floating_point():
            if scale is None:
                return value.double()
            return (scale * torch.randn(value.shape, generator=generator, dtype=torch.float64)).to(value.device)
        if scale is None or not value.numel():
            return value
        drawn = torch.randint(value.numel(), value.shape, generator=generator)
        return value.flatten()[drawn.to(value.device)]

    return [other(example, scale) for scale in (None, 1.0, 10.0, 0.0)]


@contextmanager
def watching(module: nn.Module, seen: dict[str, list[Tensor]]) -> Iterator[None]:
    """While it lasts, note the least and the largest input [2 in] of each call of the layers that own the weights."""
    handles = []
    for name, spans in seen.items():
        layer = module.get_submodule(name.rpartition(".")[0])
        handles.append(layer.register_forward_pre_hook(_noting(spans)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _noting(spans: list[Tensor]) -> Callable[[nn.Module, Any], None]:
    def hook(layer: nn.Module, args: Any) -> None:
        given = args[0]
        # A convolution's channels stand before its positions, with or without a batch in front.
        channels = given.movedim(given.dim() - _rank(layer) + 1, -1) if _is_conv(layer) else given
        flat = channels.flatten(0, -2)
        spans.append(torch.stack([flat.amin(0), flat.amax(0)]).cpu())

    return hook


def _one_number(spans: Sequence[Tensor]) -> Tensor:
    """[in]: the number that all calls saw, NaN where they saw several."""
    low = torch.stack([s[0] for s in spans]).amin(0)
    high = torch.stack([s[1] for s in spans]).amax(0)
    value = spans[0].mean(0)
    same = (high - low) <= 1e-9 * value.abs().clamp_min(1e-3)
    exact = torch.where((low == 0) & (high == 0), torch.zeros_like(value), value)
    return torch.where(same & value.isfinite(), exact, torch.nan)


def _vary(
    module: nn.Module, layout: Layout, axes: Mapping[str, Tensor], scale: float, generator: torch.Generator
) -> None:
    """Put random numbers into all rows, of more than one dimension, that write the units and are not zero."""
    state = module.state_dict()
    for axis, units in axes.items():
        for name in layout.tensors(axis):
            tensor, pattern = state[name], layout.patterns[name]
            for d, dim in enumerate(pattern):
                if len(pattern) < 2 or d in layout.reads.get(name, ()):
                    continue
                for spots in places(dim, axis):
                    chosen = spots[units & (rows(tensor.cpu(), d, spots) != 0).any(1)].flatten()
                    view = tensor.movedim(d, 0)
                    noise = torch.randn(view[chosen].shape, generator=generator, dtype=torch.float64)
                    view[chosen] = (scale * noise).to(view)


def _layer(module: nn.Module, weight: str, layout: Layout) -> nn.Module | None:
    """The layer that owns a weight, if it is one that multiplies its first input by it."""
    path, _, last = weight.rpartition(".")
    try:
        layer = module.get_submodule(path)
    except AttributeError:
        return None
    known = isinstance(layer, nn.Linear) or _is_conv(layer) or type(layer).__name__ == "Conv1D"
    grouped = getattr(layer, "groups", 1) != 1
    return layer if known and not grouped and last == "weight" and len(layout.patterns[weight]) > 1 else None


def _is_conv(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)


def _rank(layer: nn.Module) -> int:
    return layer.get_parameter("weight").dim()


def _unfoldable(weight: str, layer: nn.Module) -> str:
    """Why a constant other than 0 cannot go into the layer's bias; empty if it can."""
    if getattr(layer, "bias", None) is None:
        return f"{weight.rpartition('.')[0]} reads a constant and has no bias to take it"
    padding: Any = getattr(layer, "padding", 0)
    if padding == "valid" or not any(padding if isinstance(padding, tuple) else (padding,)):
        return ""
    return f"{bias_of(weight).rpartition('.')[0]} pads what it reads, so a constant is none at the edge"
