"""Method `auto`: make several methods' plans, try each on held-out data, and take the best.

The plans that need statistics come from one pass of the data. Each plan is tried on the model in memory as its mask;
nothing is written. Random choice at the same budget, with several seeds, is what every candidate is held against.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate import OBJECTIVES, dearest, stored_names
from penjing.calibrate.statistic import COSTS
from penjing.calibrate.statistics import objective_of
from penjing.core import Plan
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, PenjingError, PlanError, nearest
from penjing.methods import METHODS
from penjing.planning.order import Order
from penjing.planning.plans import build, make_plan, make_plans
from penjing.running.lending import Lender
from penjing.running.live import Running
from penjing.running.opened import Opened
from penjing.running.source import Source
from penjing.search.split import Split, split
from penjing.search.standings import ALPHA, standings

AUTO, FAMILY, RANDOM = "auto", "prune", "random"
_PASSED = ("axes", "protect", "multiple", "allow")
_LATE = "the time was over before its turn"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a tournament is held.

    `candidates` are names of methods (None: all that prune units and apply), `minutes` the time for plans and tries
    together, `held_out` the rows of text that plans are tried on, `random_seeds` how often random choice is drawn. The
    first candidate is always tried. `axes`, `protect`, `multiple` and `allow` are handed to every candidate.
    """

    candidates: tuple[str, ...] | None = None
    minutes: float = 20.0
    held_out: int = 24
    random_seeds: int = 3
    axes: str | None = None
    protect: tuple[str, ...] | None = None
    multiple: int | None = None
    allow: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.minutes > 0 or self.held_out < 2 or self.random_seeds < 1:
            raise PlanError(
                f"found minutes {self.minutes}, held_out {self.held_out}, random_seeds {self.random_seeds}; needed "
                "minutes above 0, at least 2 rows and at least 1 seed"
            )


def hold(
    source: Source, order: Order, *, cache: Path, module: nn.Module | None = None, lender: Lender | None = None,
    progress: Progress = silent,
) -> Plan:  # fmt: skip
    """The plan that did best on held-out data; `made["tournament"]` tells how all did, and who had no turn and why.

    `made` tells the rest as if the winner had been asked for by its name, so that it can be made again.

    Raises:
        PlanError: a setting is not known, or no candidate applies.
        DataError: the data does not serve, or the model does not fit in the memory allowed.
    """
    rules = rules_of(order.settings)
    _refuse_small_memory(source, order)
    parted = split(source, order, rules.held_out, cache=cache, progress=progress)
    with Opened(source, cache=cache, module=module, lender=lender, progress=progress) as opened:
        held = _Tournament(source, parted, rules, cache, opened.module(), progress)
        held.play()
    return _won(held, order)


def _won(held: "_Tournament", order: Order) -> Plan:
    """The plan of the first, with how all did."""
    ranked = standings(held.losses, held.dense, held.random, seconds=held.seconds)
    won = held.plans[ranked[0].name]
    told = {
        "rules": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(held.rules).items()},
        "seed": order.seed,
        "objective": held.parted.objective,
        "held out": held.parted.told,
        "alpha": ALPHA,
        "unpruned": float(held.dense.double().mean()),
        "random": [float(r.double().mean()) for r in held.random],
        "standings": [s.to_json() for s in ranked],
        "left out": held.left_out,
        "seconds": round(held.spent, 1),
    }
    return Plan(won.edits, {**won.made, "tournament": told})


def rules_of(settings: Mapping[str, Any]) -> Rules:
    """The rules from an order's settings; candidates may be a text with commas.

    Raises:
        PlanError: a setting is not known, or a value does not serve.
        PenjingError: a candidate is no method.
    """
    known = [f.name for f in fields(Rules)]
    for key in settings:
        if key not in known:
            raise PlanError(f"method 'auto' has no setting '{key}'{nearest(key, known)}; it has {', '.join(known)}")
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    named = given.get("candidates")
    if isinstance(named, str):
        given["candidates"] = tuple(n.strip() for n in named.split(",") if n.strip())
    for name in given.get("candidates") or ():
        if name == AUTO:
            raise PlanError("'auto' cannot be a candidate of itself; name other methods")
        METHODS.load(name)
    return Rules(**given)


class _TimeOverError(Exception):
    """Raised out of a pass that the time does not allow to end."""


class _Tournament:
    """What was planned and tried so far."""

    def __init__(
        self, source: Source, parted: Split, rules: Rules, cache: Path, module: nn.Module, progress: Progress
    ) -> None:
        self.source, self.parted, self.rules, self.cache, self.module = source, parted, rules, cache, module
        self.progress = progress
        self.plans: dict[str, Plan] = {}
        self.losses: dict[str, Tensor] = {}
        self.seconds: dict[str, float] = {}
        self.random: list[Tensor] = []
        self.left_out: dict[str, str] = {}
        self._began = time.monotonic()
        names = stored_names(module, source.weights().shapes)
        self._live = Running(module, list(parted.batches), source.layout, names=names)

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def play(self) -> None:
        """Plan and try, the cheap before the dear; random choice's further seeds come last.

        Raises:
            PlanError: no candidate could be tried.
        """
        free, dear = self._candidates()
        self.dense = self._live.values(Plan(), objective=self.parted.objective)
        self._random(0)
        self._round(free)
        self._round(dear)
        for seed in range(1, self.rules.random_seeds):
            if self._over():
                self.left_out[f"{RANDOM}, seed {seed}"] = _LATE
            else:
                self._random(seed)
        if not self.losses:
            why = "; ".join(f"{n}: {w}" for n, w in self.left_out.items())
            raise PlanError(f"no candidate could be tried ({why}); name others with candidates, or change the budget")

    def _candidates(self) -> tuple[dict[str, Order], dict[str, Order]]:
        """(those that need no data, those that do), each by cost; those that do not apply are told of."""
        found = self.rules.candidates
        if found is None:
            found = tuple(n for n, (family, _) in sorted(METHODS.places().items()) if family == FAMILY and n != RANDOM)
        costs: dict[str, int] = {}
        for name in dict.fromkeys(found):
            try:
                costs[name] = self._cost(name)
            except PenjingError as error:
                self.left_out[name] = str(error)
        orders = {n: self._order(n) for n in sorted(costs, key=lambda n: costs[n])}
        return {n: o for n, o in orders.items() if not costs[n]}, {n: o for n, o in orders.items() if costs[n]}

    def _cost(self, name: str) -> int:
        """The place in `COSTS` of the dearest statistic that it reads; 0 without data, the last for many runs."""
        wants = build(self._order(name)).wants(self.source.layout)
        objectives = {objective_of(s) for s in wants.kinds} - {""}
        if self.parted.objective != "loss" and any(OBJECTIVES.load(o).Objective.answers for o in objectives):
            raise DataError("it needs a loss, and the data have neither tokens nor labels")
        return COSTS.index("many runs" if wants.live or wants.blocks or wants.data else dearest(wants.kinds))

    def _order(self, name: str, seed: int | None = None) -> Order:
        known = [s.name for s in METHODS.settings(name)]
        passed = {k: getattr(self.rules, k) for k in _PASSED if k in known and getattr(self.rules, k) is not None}
        order = self.parted.order
        return replace(order, method=name, settings=passed, seed=order.seed if seed is None else seed)

    def _random(self, seed: int) -> None:
        order = self._order(RANDOM, self.parted.order.seed + seed)
        plan = make_plan(self.source, order, cache=self.cache, module=self.module, progress=self.progress)
        self.random.append(self._live.values(plan, objective=self.parted.objective))

    def _round(self, orders: Mapping[str, Order]) -> None:
        """Plan all, then try each; at the end of the time those that are left are named."""
        if not orders or self._stop(list(orders)):
            return
        try:
            made = self._planned(orders)
        except _TimeOverError:
            self.left_out |= dict.fromkeys(orders, "the time was over while statistics were collected")
            return
        for i, (name, plan) in enumerate(made.items()):
            if self._stop(list(made)[i:]):
                return
            self.progress(f"trying {name}", 0, 0)
            began = time.monotonic()
            self.losses[name] = self._live.values(plan, objective=self.parted.objective)
            self.plans[name], self.seconds[name] = plan, round(time.monotonic() - began, 2)

    def _planned(self, orders: Mapping[str, Order]) -> dict[str, Plan]:
        """All plans from one pass; if that fails, each by itself, so that one that cannot be made costs no other."""
        told = self._limited if self.losses else self.progress
        try:
            return make_plans(self.source, orders, cache=self.cache, module=self.module, progress=told)
        except PenjingError:
            made = {}
            for name, order in orders.items():
                try:
                    made[name] = make_plan(self.source, order, cache=self.cache, module=self.module, progress=told)
                except PenjingError as error:
                    self.left_out[name] = str(error)
            return made

    def _limited(self, what: str, done: int, total: int) -> None:
        """Say where a pass is, and end it when the time is over."""
        if self._over():
            raise _TimeOverError
        self.progress(what, done, total)

    def _over(self) -> bool:
        return self.spent > 60 * self.rules.minutes

    def _stop(self, names: Sequence[str]) -> bool:
        """Whether the time is over; then those that had no turn are noted. The first candidate is always tried."""
        if not self.losses or not self._over():
            return False
        self.left_out |= dict.fromkeys(names, _LATE)
        return True


def _refuse_small_memory(source: Source, order: Order) -> None:
    size = sum(4 * torch.Size(shape).numel() for shape in source.weights().shapes.values())
    if order.memory is not None and size > order.memory:
        raise DataError(
            f"method 'auto' runs the whole model, which takes {size:,} bytes in float32, and the memory allowed is "
            f"{order.memory:,}; allow more, or name one method"
        )
