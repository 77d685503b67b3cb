"""The coordinate check: whether what modules give, and how training changes it, keeps its size as a network grows.

Source: as `scales`, on verification: slopes of log mean |x| over log width, which are 0 where the network scales well;
the output at the start may fall with the root of the width.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Change:
    """The mean absolute output of a module at a step, and of its difference from that before training."""

    module: str
    step: int
    width: int
    size: float
    change: float


def changes(
    module: nn.Module, width: int, step: Callable[[nn.Module], Any], look: Callable[[nn.Module], Any], *, steps: int = 3
) -> list[Change]:
    """What each leaf of a network gives before training and after each of `steps`; it is trained in place.

    `step` takes the network and trains it by one step, `look` runs it on inputs that stay the same.
    """
    out: list[Change] = []
    first: dict[str, Tensor] = {}
    for count in range(steps + 1):
        if count:
            step(module)
        with _caught(module) as found, torch.no_grad():
            look(module)
        first = first or dict(found)
        out += [
            Change(
                module=name, step=count, width=width, size=float(given.abs().mean()),
                change=float((given - first[name]).abs().mean()),
            )
            for name, given in found.items()
        ]  # fmt: skip
    return out


def slopes(found: Sequence[Change]) -> dict[tuple[str, int], tuple[float, float]]:
    """(module, step) -> (slope of its size, slope of its change), of logarithms over that of the width.

    All runs of a width are averaged first. The slope of changes at step 0 is NaN, for there is none.

    Raises:
        DataError: fewer than two widths were looked at.
    """
    widths = sorted({c.width for c in found})
    if len(widths) < 2:
        raise DataError(f"found {len(widths)} widths; needed two or more for a slope, better five")
    out = {}
    for key in sorted({(c.module, c.step) for c in found}, key=lambda k: (k[1], k[0])):
        own = [c for c in found if (c.module, c.step) == key]
        sizes = [_mean([c.size for c in own if c.width == w]) for w in widths]
        moves = [_mean([c.change for c in own if c.width == w]) for w in widths]
        out[key] = (_slope(widths, sizes), _slope(widths, moves))
    return out


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _slope(widths: Sequence[int], values: Sequence[float]) -> float:
    if not all(v > 0 for v in values):
        return math.nan
    x, y = torch.tensor(widths, dtype=torch.float64).log(), torch.tensor(values, dtype=torch.float64).log()
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


@contextmanager
def _caught(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The outputs of the leaves that have weights, by their names, of the calls while the block runs."""
    found: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _given: Any, out: Any) -> None:
            if isinstance(out, Tensor):
                found[name] = out.detach().clone()

        return keep

    leaves = [(n, m) for n, m in module.named_modules() if next(m.parameters(recurse=False), None) is not None]
    handles = [m.register_forward_hook(keeper(n)) for n, m in leaves]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
