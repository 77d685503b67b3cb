"""Take away the units that do nothing: those that nobody reads, and those that are constant.

Source: Bragagnolo and Barbano, "Simplify: A Python library for optimizing pruned neural networks", SoftwareX 17 (2022)
100907, for the idea: drop neurons whose weights are zero and move the constant they leave into the biases behind them.
Deviations: also units whose readers are all zero, gated units of which one factor is zero, and whatever becomes dead by
that; a unit is held to be constant only if it stays so while the weights that are not zero are varied; where the reader
pads what it reads or has no bias, the unit stays (the paper changes the padding). A budget is not part of the paper.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from penjing.core import Axis, Budget, Card, Checkpoint, Keep, Layout, Plan, View, Wants
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.dead import Dead, Probe, find, fold
from penjing.select.run_submodule import by_parts
from penjing.select.uniform import sizes
from penjing.select.units import all_rows

CARD = Card(
    title="Dead units",
    paper="doi:10.1016/j.softx.2021.100907",
    removes="units that do nothing, of every axis; with a budget, then the smallest of the usual axes",
    promise="equals its mask",
)

DEFAULT = Budget(keep=1.0)
"""The budget when none is given: everything stays that does something."""


def score(dead: Tensor, norm: Tensor) -> Tensor:
    """[units]: the L2 norm of all weights of a unit, below 0 if it is dead. Higher is kept."""
    return torch.where(dead, torch.full_like(norm, -1.0), norm)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Take away units that do nothing; outputs stay the same. Needs no data.

    `axes` and `protect` are globs of axis names; without `axes` all free axes are looked at, or the usual ones where a
    budget below everything is to be met. With such a budget dead units go first, then those with the smallest norm.
    `allow` names further states of axes ("sensitive"): without these units, even dead ones, norms give other outputs.
    Widths are rounded up to a `multiple`. `even` keeps axes that follow one config entry equally wide, filled up with
    dead units, as a stock config needs it.
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    multiple: int = 1
    even: bool = True

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        return Wants()

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis, and the biases that take the constants."""
        return decide(self, view.model, view.layout, view.budget, partial(by_parts, view.model, view.layout))


def decide(method: Method, model: Checkpoint, layout: Layout, budget: Budget, probe: Probe) -> Plan:
    """The plan; `probe` tells what the readers of units get that may be constant."""
    lossless = budget == DEFAULT
    axes = choose(layout, method.axes or ("*" if lossless else None), protect=method.protect, allow=method.allow)
    dead = find(model, layout, [a.name for a in axes], probe)
    if lossless:
        counts = _counts(layout, axes, dead, method)
    else:
        counts = sizes(layout, axes, budget, model=model, multiple=method.multiple)
    keeps = [Keep(a.name, _kept(model, layout, a, dead, counts[a.name])) for a in axes if counts[a.name] < a.size]
    taken = {k.axis: torch.ones(layout.axes[k.axis].size, dtype=torch.bool) for k in keeps}
    for k in keeps:
        taken[k.axis][list(k.units)] = False
    told = {"method": "zeros", "settings": asdict(method), "budget": str(budget), **_told(dead, taken)}
    return Plan((*fold(model, layout, dead, taken), *keeps), made=told)


def _kept(model: Checkpoint, layout: Layout, axis: Axis, dead: Dead, count: int) -> tuple[int, ...]:
    parts = all_rows(model, layout, axis.name)
    norm = sum((p.square().sum(1) for p in parts), start=torch.zeros(1)).sqrt()
    return best(score(dead.of(axis.name), norm), count)


def _counts(layout: Layout, axes: Sequence[Axis], dead: Dead, method: Method) -> dict[str, int]:
    """Axis -> how many units stay when only dead ones go."""
    counts = {a.name: _rounded(a, a.size - int(dead.of(a.name).sum()), method.multiple) for a in axes}
    if not method.even or not any(a.entries for a in layout.axes.values()):
        return counts
    return {a.name: _together(layout, a, counts, method.multiple) for a in axes}


def _rounded(axis: Axis, alive: int, multiple: int) -> int:
    return min(max(multiple * math.ceil(alive / multiple), axis.least, 1), axis.size)


def _together(layout: Layout, axis: Axis, counts: Mapping[str, int], multiple: int) -> int:
    """The size that all axes have room in that follow the same config entry; the whole axis where no entry does."""
    peers = [a for a in layout.axes.values() if set(a.entries) & set(axis.entries)]
    if not peers or any(set(a.entries) != set(axis.entries) or a.name not in counts for a in peers):
        return axis.size
    share = max(counts[a.name] / a.size for a in peers)
    return _rounded(axis, math.ceil(share * axis.size - 1e-9), multiple)


def _told(dead: Dead, taken: Mapping[str, Tensor]) -> dict[str, Any]:
    """What was found, for people: by axis, and the reasons for which dead-looking units stay."""
    found = {a: int(dead.of(a).sum()) for a in dead.unread}
    folded = sum(int((dead.constant[a] & t).sum()) for a, t in taken.items())
    gone = sum(int((dead.of(a) & t).sum()) for a, t in taken.items())
    left = sum(found.values()) - gone
    return {
        "dead": {a: n for a, n in found.items() if n},
        "taken away": {"dead": gone, "of these constant": folded},
        "stay": {**dead.stay, **({"they fill up a width": left} if left else {})},
    }
