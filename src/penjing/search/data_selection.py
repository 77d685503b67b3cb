"""Which calibration data to trust: make a method's plan from each candidate, and see what its mask does to the outputs.

A plan is judged by the divergence that it leaves on held-out examples: KL(original || pruned), the mean over tokens.
Intervals are of the examples' values and paired differences, by Student's t. Since the best is picked by the same
figures, a p against it is corrected (Holm) over all pairs of candidates, not only over those with the best.

Source: Ai et al., "NIRVANA: Structured Pruning Reimagined for Large Language Models Compression", arXiv:2509.14230,
section 4.4. Deviations: any method that reads data; each candidate has an interval and ties are told; log-softmax is
taken in float32 without a floor of 1e-12; the held-out examples are in no candidate.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from penjing.calibrate import stored_names
from penjing.core import Plan
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, PlanError
from penjing.maths.holm import holm
from penjing.maths.student import mean_of
from penjing.methods import METHODS
from penjing.planning.order import Order
from penjing.planning.plans import build, make_plan
from penjing.running.live import Running
from penjing.running.source import Source, as_folder
from penjing.running.stock import load
from penjing.search.candidates import Candidate, Drawn, Search, draw
from penjing.search.results_cache import Notes, notes_path
from penjing.search.standings import ALPHA

COLLECTING = "collecting statistics"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How the plan from one candidate did: `divergence` in nats per token, lower is better, with its standard error.

    `low` and `high` are its 95 % interval over the held-out examples. `behind` is its divergence less the best one's,
    [value, low, high], paired by example, and `p` that of no difference, corrected over all pairs of candidates; the
    `verdict` is "tie" where it is 0.05 or more. `plan` names what the plan does: equal names are equal plans.
    """

    name: str
    seed: int
    files: tuple[str, ...]
    divergence: float
    error: float
    low: float
    high: float
    behind: tuple[float, float, float] | None = None
    p: float | None = None
    verdict: Literal["best", "tie", "worse"] = "best"
    plan: str = ""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The candidates, best first, what was asked for, what is held out, and what the search cost.

    `cost` counts `passes` (plans whose statistics were collected and not found on disk), `tries` (plans that ran on the
    held-out examples and were not found on disk) and seconds. `made_again` are the arguments of `penjing.plan` that
    draw the best one's data again. `texts` and `tokens` are its
    rows, and `places` its examples among those of one's own that are not held out. `same_tokens` counts the rows that
    the tokenizer reads from `texts` as they were.
    """

    model: str
    method: str
    settings: Mapping[str, Any]
    budget: Mapping[str, float]
    tried: tuple[Tried, ...]
    held_out: Mapping[str, Any]
    examples: int
    cost: Mapping[str, Any]
    made_again: Mapping[str, Any]
    places: tuple[int, ...] = ()
    texts: tuple[str, ...] = field(default=(), repr=False)
    tokens: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    same_tokens: int = 0

    @property
    def ties(self) -> list[str]:
        """The candidates that are not clearly worse than the best."""
        return [t.name for t in self.tried if t.verdict == "tie"]

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable keys, without texts and tokens."""
        told = {k: v for k, v in asdict(self).items() if k not in ("texts", "tokens")}
        again = {**self.made_again, "budget": dict(self.budget)}
        return {**told, "made_again": again, "rows": len(self.texts), "ties": self.ties}


def select_data(
    source: Source, order: Order, search: Search | None = None, *, cache: Path, module: nn.Module | None = None,
    progress: Progress = silent,
) -> Selection:  # fmt: skip
    """Draw candidates for calibration data, make the order's plan from each, try it, and rank them.

    The method, its settings, the budget, the files and the size of a candidate are the order's. Statistics and what
    plans were measured to do are kept in `cache`, and found there again.

    Raises:
        PlanError: the method reads no data, or no plan changed any output.
        DataError: there are fewer than two candidates, or the data does not serve.
        PenjingError: the model, the method or the budget does not serve.
    """
    began = time.monotonic()
    order = replace(order, settings=_settings(order))
    _refuse_without_data(source, order)
    drawn = draw(source, order, search or Search(), cache=cache, progress=progress)
    module = module if module is not None else load(as_folder(source, cache, progress), dtype=torch.float32)
    trial = _Trial(source, drawn, module, cache, progress)
    values = trial.play()
    ranked = rank([c.name for c in drawn.candidates], values)
    by_name = {c.name: (c, trial.plans[c.name]) for c in drawn.candidates}
    tried = tuple(
        replace(t, seed=by_name[t.name][0].order.seed, files=_names(by_name[t.name][0]), plan=by_name[t.name][1])
        for t in ranked
    )
    best = by_name[tried[0].name][0]
    return Selection(
        model=source.name, method=order.method, settings=order.settings, budget={order.budget.unit: order.budget.limit},
        tried=tried, held_out=drawn.parted.told, examples=values.shape[1],
        cost=trial.cost | {"seconds": round(time.monotonic() - began, 1)}, made_again=_again(best, order),
        places=best.places, texts=best.texts, tokens=() if best.ids is None else tuple(map(tuple, best.ids.tolist())),
        same_tokens=_same(drawn, best),
    )  # fmt: skip


def rank(names: Sequence[str], values: Tensor) -> list[Tried]:
    """The candidates, best first, from the divergence of each example, [candidates examples].

    Raises:
        DataError: fewer than two candidates or examples, or a value is not finite.
    """
    if len(names) < 2 or values.shape[1] < 2:
        raise DataError(
            f"found {len(names)} candidates and {values.shape[1]} held-out examples, needed 2 of both; give more"
        )
    for name, row in zip(names, values, strict=True):
        if not bool(row.isfinite().all()):
            raise DataError(f"the divergence of '{name}' is not finite; check the weights and the data for NaN")
    values = values.double()
    order = sorted(range(len(names)), key=lambda i: float(values[i].mean()))
    pairs = list(combinations(range(len(names)), 2))
    corrected = dict(zip(pairs, holm([mean_of(values[i] - values[j]).p for i, j in pairs]), strict=True))
    best, out = order[0], []
    for i in order:
        found = mean_of(values[i])
        own = Tried(
            name=names[i], seed=0, files=(), divergence=found.value, error=found.error, low=max(0.0, found.low),
            high=found.high,
        )  # fmt: skip
        if i != best:
            p, gap = corrected[min(i, best), max(i, best)], mean_of(values[i] - values[best])
            own = replace(own, behind=(gap.value, gap.low, gap.high), p=p, verdict="worse" if p < ALPHA else "tie")
        out.append(own)
    return out


class _Trial:
    """The running model with the held-out examples, and what the search has cost so far."""

    def __init__(self, source: Source, drawn: Drawn, module: nn.Module, cache: Path, progress: Progress) -> None:
        self.source, self.drawn, self.module, self.cache, self.progress = source, drawn, module, cache, progress
        names = stored_names(module, source.weights().shapes)
        self._live = Running(module, list(drawn.parted.batches), source.layout, names=names)
        self._notes = Notes(notes_path(source, drawn.parted, cache))
        self._collecting = False
        self.plans: dict[str, str] = {}
        self.cost: dict[str, Any] = {"passes": 0, "tries": 0, "planning_seconds": 0.0, "trying_seconds": 0.0}

    def play(self) -> Tensor:
        """[candidates examples]: the divergence that each one's plan leaves.

        Raises:
            PlanError: no plan changed any output.
        """
        out, total = [], len(self.drawn.candidates)
        for i, candidate in enumerate(self.drawn.candidates):
            self.progress("trying calibration data", i, total)
            began = time.monotonic()
            plan = self._planned(candidate)
            planned = time.monotonic()
            out.append(self._values(candidate, plan))
            self.cost["planning_seconds"] = round(self.cost["planning_seconds"] + planned - began, 2)
            self.cost["trying_seconds"] = round(self.cost["trying_seconds"] + time.monotonic() - planned, 2)
        self.progress("trying calibration data", total, total)
        found = torch.stack(out)
        if not bool(found.any()):
            raise PlanError(
                f"the plans of all {total} candidates leave every output as it was, so there is nothing to choose by; "
                "ask for a smaller budget"
            )
        return found

    def _planned(self, candidate: Candidate) -> Plan:
        self._collecting = False
        made = make_plan(self.source, candidate.order, cache=self.cache, module=self.module, progress=self._listening)
        self.cost["passes"] += self._collecting
        return made

    def _listening(self, what: str, done: int, total: int) -> None:
        self._collecting = self._collecting or what.startswith(COLLECTING)
        self.progress(what, done, total)

    def _values(self, candidate: Candidate, plan: Plan) -> Tensor:
        key = self.plans[candidate.name] = plan.digest()
        found = self._notes.find(key)
        if found is None or len(found) != self._live.examples:
            found = self._live.values(plan, objective="divergence")
            self._notes.add(key, found)
            self.cost["tries"] += 1
        return found


def _settings(order: Order) -> dict[str, Any]:
    """The order's settings; a seed of the method's own is the order's for all, so that only the data differ.

    Raises:
        PlanError: the method is `auto`.
    """
    if order.method == "auto":
        raise PlanError("found method 'auto', and data is chosen for one method; name the one that will be used")
    known = [s.name for s in METHODS.settings(order.method)]
    return {**({"seed": order.seed} if "seed" in known else {}), **order.settings}


def _refuse_without_data(source: Source, order: Order) -> None:
    if not build(order).wants(source.layout):
        raise PlanError(
            f"method '{order.method}' reads no data with these settings, so its plan is the same whatever the data is; "
            "choose a method that does, such as activation or nirvana"
        )


def _names(candidate: Candidate) -> tuple[str, ...]:
    return tuple(p.name for p in candidate.files)


def _again(best: Candidate, order: Order) -> dict[str, Any]:
    """The arguments of `plan` that give the best one's plan; of batches of one's own they lack the data."""
    named = {"images" if order.images else "texts": [str(p) for p in best.files] if order.images or order.texts else []}
    own = best.order
    return {
        "method": order.method, "settings": dict(order.settings), "budget": order.budget,
        **(named if order.batches is None else {}), "rows": order.rows, "length": order.length, "batch": order.batch,
        "labels": None if order.labels is None else str(order.labels), "seed": own.seed,
    }  # fmt: skip


def _same(drawn: Drawn, best: Candidate) -> int:
    """How many of the best one's rows the tokenizer reads again as they were."""
    if drawn.reader is None or best.ids is None:
        return 0
    read = (drawn.reader(t, add_special_tokens=False, verbose=False)["input_ids"] for t in best.texts)
    return sum(list(a) == b for a, b in zip(read, best.ids.tolist(), strict=True))
