"""Keep the neurons that a label-free entropy depends on most, and cut each MLP until that entropy moves too far.

The figure is the mean entropy of the softmax over similarities of a batch's features (`calibrate.objectives.entropy`).
The score of a neuron is the mean, over examples, of |sum over positions of a * d entropy / d a|, where a is what the
layer that reads the neuron takes in, which for a gated MLP is the gated product. One pass gives all scores.

Sizes, by the budget:

- `loss`: searched, from the last axis to the first, each by `steps` halvings against the model that is cut behind it
  already; one axis may add its equal share of the budget, so that all together add no more than the budget. With
  `bound` one axis may add that much instead, which is the paper's bound, and all together still no more than the
  budget: for the paper's search alone, give `bound` and a budget of as many times that;
- `keep`, `parameters`, `macs`, `bytes` with `allocation="uniform"` (default): the same share of every axis, which a
  stock config holds; nothing is searched;
- the same with `allocation="searched"`: the search under the smallest bound, the same for each axis, that meets the
  budget. It runs the model some ten times as often. `bound`, where given, must not be exceeded on the way.

Source: Shen, "Adaptive MLP Pruning for Large Vision Transformers", arXiv:2603.08100; the score and the search as its
code is described to have them (the poster's score is the derivative alone). Uncertain: its layer-wise scoring, anew
after each cut, is not here; the distillation, on which the paper's results rest, is a healer. Deviations: uniform
sizes by default; the search runs on the examples that the scores are made of, not on a validation set, and an
incomplete last batch counts; the inverse temperature is 15 (the paper: 15 or 20); of heads and other units of several
channels the channels' scores are added up. The entropy depends on how many examples a batch has: a bound for one batch
size says little for another. A fall of the entropy always passes, as in the paper, unless `signed` is off.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import inf
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.core import Axis, Budget, Card, Checkpoint, Keep, Layout, Live, Plan, View, Wants
from penjing.errors import BudgetError, DataError, PenjingError, nearest
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.loss_bounded import Searched, least_sizes, meet, search
from penjing.select.objectives import known
from penjing.select.saliency import taken_in
from penjing.select.steps import steps_of
from penjing.select.uniform import cost, sizes

OBJECTIVES = ("entropy", "loss", "output")
ALLOCATIONS = ("uniform", "searched")

CARD = Card(
    title="AMP",
    paper="arXiv:2603.08100",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    needs=frozenset({"entropy_taylor", "live"}),
)


def score(taken: Iterable[Tensor]) -> Tensor:
    """[units], 0 or more: the effects of all channels of a unit added up, [units channels] per reader. Higher is kept.

    Raises:
        DataError: an effect is not a number.
    """
    found = sum((x.double().sum(1) for x in taken), start=torch.zeros(1).double())
    if bool(found.isnan().any()):
        raise DataError("the derivative of the objective is not a number for some unit; check the model and the data")
    return found


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units with the largest effect on an objective, by default the label-free entropy.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive"). `objective` is what is scored and what the search
    watches. `allocation` is how axes share a budget other than `loss`. Of the search: `bound` is the most that one
    axis may add to the objective (None: its share of the budget), `steps` how often an axis is halved, `signed` whether
    only an increase counts, `examples` how many of the first examples are run (None: all).
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    objective: Literal["entropy", "loss", "output"] = "entropy"
    allocation: Literal["uniform", "searched"] = "uniform"
    bound: float | None = None
    steps: int = 6
    signed: bool = True
    examples: int | None = None

    @property
    def statistic(self) -> str:
        """The statistic that is read.

        Raises:
            PenjingError: the objective is not known.
        """
        return f"{known(self.objective, OBJECTIVES)}_taylor"

    def wants(self, layout: Layout) -> Wants:
        """Parameter -> the statistics needed of it: of every parameter that reads units."""
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        return Wants({t: frozenset({self.statistic}) for a in axes for t, _ in layout.readers(a.name)}, live=True)

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis; `made["search"]` tells of the search.

        Raises:
            BudgetError: the budget cannot be met.
            PenjingError: the allocation is not known.
        """
        if self.allocation not in ALLOCATIONS:
            guess = nearest(self.allocation, ALLOCATIONS)
            raise PenjingError(f"allocation '{self.allocation}' is not known{guess}; choose {', '.join(ALLOCATIONS)}")
        layout, stats, budget = view.layout, view.stats, view.budget
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        scores = {a.name: score(taken_in(layout, stats, a.name, self.statistic)) for a in axes}
        made: dict[str, Any] = {"method": "amp", "settings": asdict(self), "budget": str(budget)}
        if self.allocation == "uniform" and budget.unit != "loss":
            counts = sizes(layout, axes, budget, model=view.model, multiple=self.multiple)
        else:
            found, runs = self._searched(view, axes, scores)
            counts = found.sizes
            told = {"start": found.start, "after": found.after, "bound": found.bound, "runs": runs}
            made["search"] = told
        keeps = tuple(Keep(a.name, best(scores[a.name], counts[a.name])) for a in axes)
        return Plan(keeps, made={**made, "samples": stats.samples})

    def _searched(
        self, view: View, axes: list[Axis], scores: Mapping[str, Tensor]
    ) -> tuple[Searched, int]:
        """(what the search found, how often the model was run)."""
        budget = view.budget
        figure, runs = self._figure(view.running(), scores)
        steps = steps_of(view.layout, axes, self.multiple)
        backwards = axes[::-1]
        total = budget.limit if budget.unit == "loss" else inf

        def run(bound: float) -> Searched:
            return search(
                backwards, figure, bound=bound, total=total, steps=self.steps, multiples=steps, signed=self.signed
            )

        if budget.unit == "loss":
            return run(total / len(axes) if self.bound is None else self.bound), runs()
        fits = _fits(view.model, view.layout, axes, budget, least_sizes(axes, steps))
        return meet(backwards, run, fits, most=self.bound, multiples=steps), runs()

    def _figure(
        self, live: Live, scores: Mapping[str, Tensor]
    ) -> tuple[Callable[[Mapping[str, int]], float], Callable[[], int]]:
        """(the objective at some sizes, how often the model was run for it)."""
        chosen = None if self.examples is None else range(min(self.examples, live.examples))

        @cache
        def measured(sized: tuple[tuple[str, int], ...]) -> float:
            plan = Plan(tuple(Keep(axis, best(scores[axis], count)) for axis, count in sized))
            return live.value(plan, objective=self.objective, examples=chosen)

        def figure(at: Mapping[str, int]) -> float:
            return measured(tuple(sorted((a, n) for a, n in at.items() if n < len(scores[a]))))

        return figure, lambda: measured.cache_info().currsize


def _fits(
    model: Checkpoint, layout: Layout, axes: Sequence[Axis], budget: Budget, least: Mapping[str, int]
) -> Callable[[Mapping[str, int]], bool]:
    """Whether sizes meet a budget; of `keep`, whether no kind of axis keeps more than its share.

    Raises:
        BudgetError: the smallest sizes do not.
    """
    kinds: dict[str, list[Axis]] = {}
    for axis in axes:
        kinds.setdefault(axis.kind, []).append(axis)

    def fits(at: Mapping[str, int]) -> bool:
        if budget.keep is None:
            return cost(layout, at, budget, model) <= budget.limit
        keep = budget.keep
        return all(sum(at[a.name] for a in k) <= round(keep * sum(a.size for a in k)) for k in kinds.values())

    if not fits(least):
        raise BudgetError(
            f"a budget of {budget} is below what remains with each of the {len(axes)} chosen axes at its smallest "
            "size; choose more axes, a smaller multiple or a larger budget"
        )
    return fits
