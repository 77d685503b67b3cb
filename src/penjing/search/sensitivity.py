"""What cutting each axis alone adds to the loss: tried on the running model as a mask, with an interval.

Units are ranked by a method's own plan for the one axis. Every point tells how many units and parameters go and how
many weights that were not zero the mask zeroes; where nothing goes there is no increase, only the reason. Intervals are
of the paired differences of the examples, by Student's t, one by one: of many, one in twenty misses by chance.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate import stored_names
from penjing.core import Axis, Budget, Layout, Plan
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, PenjingError, PlanError
from penjing.layouts import costs
from penjing.maths.student import mean_of
from penjing.methods import METHODS
from penjing.planning.order import Order
from penjing.planning.plans import make_plan, make_plans
from penjing.running.live import Running
from penjing.running.source import Source, as_folder
from penjing.running.stock import load
from penjing.search.results_cache import Notes, notes_path
from penjing.search.split import Split, split

FRACTIONS = (0.75, 0.5, 0.25)
HELD_OUT = 8
USUAL = "neurons"
"""The kind of axis that is looked at where none is named and the model has it; else all that are free."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One axis cut to one size: what went, and what that adds to the objective.

    `keep` is the share that was asked for, `kept` the units that stay of it, `gone` those that go, `parameters` what
    goes with them, `zeroed` the weights other than zero that the mask zeroes. `increase` is the mean of the examples'
    paired differences, in nats, `error` its standard error, `low` and `high` its 95 % interval; None where nothing
    went, and then `note` says why.
    """

    keep: float
    kept: int
    gone: int
    parameters: int
    zeroed: int = 0
    increase: float | None = None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One axis and its points, in the order of the fractions."""

    axis: str
    kind: str
    size: int
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Every axis alone. `value` is the objective of the whole model, 0 for a divergence; `told` tells of the data."""

    model: str
    method: str
    settings: Mapping[str, Any]
    objective: str
    value: float
    examples: int
    fractions: tuple[float, ...]
    cuts: tuple[Cut, ...]
    told: Mapping[str, Any]
    seconds: float = 0.0

    @property
    def nothing(self) -> list[str]:
        """The axes of which nothing was removed at any size: nothing is known of them."""
        return [c.axis for c in self.cuts if all(p.increase is None for p in c.points)]

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable keys."""
        return {**asdict(self), "nothing": self.nothing}


def measure_sensitivity(
    source: Source, order: Order, *, axes: str | None = None, fractions: Sequence[float] = FRACTIONS,
    held_out: int = HELD_OUT, cache: Path, module: nn.Module | None = None, progress: Progress = silent,
) -> Sensitivity:  # fmt: skip
    """Cut each axis alone to each of `fractions`, and measure.

    `order` names the method that ranks units, its settings and the data; its budget is not heeded, and a method that
    can refit does not, unless its settings say so. `held_out` rows of text, or every fourth other example, are
    measured on; without labels it is the divergence from the original. What was measured is found again in `cache`.

    Raises:
        PlanError: the method cannot be held to one axis, a fraction is out of range, or nothing at all was removed.
        PenjingError: the model, the method or the data does not serve.
    """
    began = time.monotonic()
    asked = tuple(dict.fromkeys(sorted(fractions, reverse=True)))
    if not asked or not all(0 < f < 1 for f in asked):
        raise PlanError(f"found fractions {list(fractions)}; needed one or more, each above 0 and below 1")
    chosen = _axes(source.layout, axes, order)
    parted = split(source, order, held_out, cache=cache, progress=progress)
    ranking = replace(parted.order, settings=_settings(order))
    module = module if module is not None else load(as_folder(source, cache, progress), dtype=torch.float32)
    plans = _plans(source, ranking, chosen, asked, cache, module, progress)
    trial = _Trial(source, parted, module, cache)
    dense = trial.values(Plan())
    cuts, done, total = [], 0, len(chosen) * len(asked)
    for axis in chosen:
        points = []
        for keep in asked:
            progress("cutting axes one by one", done, total)
            points.append(trial.point(axis, keep, plans[axis.name, keep], dense))
            done += 1
        cuts.append(Cut(axis=axis.name, kind=axis.kind, size=axis.size, points=tuple(points)))
    progress("cutting axes one by one", total, total)
    found = Sensitivity(
        model=source.name, method=order.method, settings=dict(ranking.settings), objective=parted.objective,
        value=float(dense.double().mean()), examples=len(dense), fractions=asked, cuts=tuple(cuts),
        told={"held out": parted.told, "calibration rows": ranking.rows, "seed": order.seed},
        seconds=round(time.monotonic() - began, 1),
    )  # fmt: skip
    if len(found.nothing) == len(chosen):
        why = next(p.note for c in cuts for p in c.points)
        raise PlanError(f"nothing was removed from any of {len(chosen)} axes ({why}); name smaller fractions to keep")
    return found


def _axes(layout: Layout, axes: str | None, order: Order) -> list[Axis]:
    states = ("free", "sensitive") if "sensitive" in (order.settings.get("allow") or ()) else ("free",)
    if axes is None:
        usual = [a for a in layout.axes.values() if a.kind == USUAL and a.state == "free"]
        axes = USUAL if usual else "*"
    lists = {b.axis for b in layout.blocks}
    return [a for a in layout.match(axes, states=states) if a.name not in lists]


def _settings(order: Order) -> dict[str, Any]:
    """The order's settings, without a refit unless they ask for one.

    Raises:
        PlanError: the method has no setting for its axes.
    """
    known = [s.name for s in METHODS.settings(order.method)]
    if "axes" not in known:
        raise PlanError(
            f"method '{order.method}' cannot be held to one axis, for it has no setting 'axes'; choose a method that "
            "takes units away, such as magnitude or activation"
        )
    return {**({"repair": False} if "repair" in known else {}), **order.settings}


_Key = tuple[str, float]


def _plans(
    source: Source, order: Order, axes: Sequence[Axis], fractions: Sequence[float], cache: Path, module: nn.Module,
    progress: Progress,
) -> dict[_Key, Plan | str]:  # fmt: skip
    """(axis, fraction) -> the method's plan for that axis alone, or why there is none."""
    orders = {
        (a.name, f): replace(order, settings={**order.settings, "axes": a.name}, budget=Budget(keep=f))
        for a in axes for f in fractions
    }  # fmt: skip
    by_name = {f"{a} {f:g}": key for key in orders for a, f in [key]}
    try:
        made = make_plans(
            source, {n: orders[k] for n, k in by_name.items()}, cache=cache, module=module, progress=progress
        )
        return {by_name[n]: plan for n, plan in made.items()}
    except PenjingError:
        found: dict[_Key, Plan | str] = {}
        for key, one in orders.items():
            try:
                found[key] = make_plan(source, one, cache=cache, module=module, progress=progress)
            except PenjingError as error:
                found[key] = str(error)
        return found


class _Trial:
    """The running model, and what was measured of it before."""

    def __init__(self, source: Source, parted: Split, module: nn.Module, cache: Path) -> None:
        names = stored_names(module, source.weights().shapes)
        self._live = Running(module, list(parted.batches), source.layout, names=names)
        self._layout, self._objective = source.layout, parted.objective
        self._notes = Notes(notes_path(source, parted, cache))

    def values(self, plan: Plan) -> Tensor:
        """[examples]: the objective of each held-out example under a plan.

        Raises:
            DataError: one of them is not a number.
        """
        key = plan.digest()
        found = self._notes.find(key)
        if found is None or len(found) != self._live.examples:
            found = self._live.values(plan, objective=self._objective)
            self._notes.add(key, found)
        if not bool(found.isfinite().all()):
            raise DataError("the objective of an example is not finite; check the weights and the data for NaN")
        return found

    def point(self, axis: Axis, keep: float, plan: Plan | str, dense: Tensor) -> Point:
        """What cutting one axis adds; nothing removed is said, not measured."""
        if isinstance(plan, str):
            return Point(keep=keep, kept=axis.size, gone=0, parameters=0, note=plan)
        kept = len(plan.keeps().get(axis.name, range(axis.size)))
        whole = costs.parameters(self._layout)
        counts = {a: len(u) for a, u in plan.keeps().items()}
        cut = Point(
            keep=keep, kept=kept, gone=axis.size - kept, parameters=whole - costs.parameters(self._layout, counts)
        )
        if kept == axis.size:
            return replace(cut, note=f"rounding leaves all {axis.size} units, so nothing was removed")
        zeroed = self._zeroed(axis, plan)
        if not zeroed:
            return replace(cut, note="all weights of the units that go are zero already, so nothing was removed")
        added = mean_of(self.values(plan).double() - dense.double())
        return replace(
            cut, zeroed=zeroed, increase=added.value, error=added.error, low=added.low, high=added.high
        )

    def _zeroed(self, axis: Axis, plan: Plan) -> int:
        """How many weights of an axis are not zero before, and zero under the plan."""
        own = self._live.names or {}
        state = self._live.module.state_dict()
        watched = [n for t in self._layout.tensors(axis.name) if (n := own.get(t, t)) in state]
        before = {n: state[n] != 0 for n in watched}
        with self._live.edited(plan):
            return sum(int((before[n] & (state[n] == 0)).sum()) for n in watched)
