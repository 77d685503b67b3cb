"""Measure what each group of axes costs the loss when it alone is cut, and choose all sizes together by that.

Each group is cut to a few sizes, its units ranked by their energy, and the loss of the running model is taken with
nothing else cut. Between the measured sizes the increase is read off straight lines, and an integer programme
(`select.knapsack`) finds the sizes with the smallest summed increase under the budget; steps that still fit are then
given back. Units of an axis are ranked by `E[h_i^2] * |W[:, i]|^2` over what reads them, or by `loss_taylor`.

With `even` (default) all axes of a kind that follow one config entry are one group, so that the result is a stock
checkpoint; the programme then weighs kinds (neurons against heads) under a limit on the whole model, and nothing is
left to choose, nor run, where the budget is `keep` or there is one group. Without it every axis is a group.

Source: Li et al., "Pruning Filters for Efficient ConvNets", arXiv:1608.08710, section 3.2, for the sensitivity of each
layer cut alone, which they read by eye; Yao et al., "HAWQ-V3", arXiv:2011.10680, for an integer programme over such
figures, there of bit widths and predicted, not measured. Uncertain: the section's number is from memory. Deviations:
their ranking is the L1 norm of filters; the loss is measured on the examples that the statistics are made of; no
training follows. Increases are taken to add up. That they do not is told by `made["measured"]`: `predicted` is the
sum, `found` what all cuts together add. A budget of `loss` is held by `found`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.core import Axis, Card, Checkpoint, Keep, Layout, Plan, Stats, View, Wants
from penjing.errors import PenjingError, PlanError, nearest
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.measured_sizes import FRACTIONS, MeasuredSizes, figure_of
from penjing.select.saliency import taken_in
from penjing.select.size_grid import together
from penjing.select.steps import steps_of
from penjing.select.uniform import sizes
from penjing.select.units import places, rows

ENERGY, TAYLOR = "input_energy", "loss_taylor"
RANKS = ("energy", "taylor")

CARD = Card(
    title="Measured sensitivity",
    paper="arXiv:1608.08710",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    needs=frozenset({ENERGY, "live"}),
)


def score(parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """[units]: the energy that each unit adds to its readers. Higher is kept.

    `parts` are, for each reader, the mean squared inputs [units channels] and the squared norms of the weights that
    take them in, [units channels].
    """
    return sum(((e.double() * n.double()).sum(1) for e, n in parts), start=torch.zeros(1).double())


@dataclass(frozen=True, kw_only=True)
class Method:
    """Choose the sizes of all groups of axes by what cutting each alone was measured to add to the loss.

    `axes` and `protect` are globs of axis names; several kinds may be named ("neurons.*,heads.*"). `multiple` is the
    rounding of sizes (None: one that hardware likes), `allow` further states of axes that may be cut ("sensitive").
    `even` keeps axes that follow one config entry equally wide. `rank` is what ranks the units of an axis.
    `fractions` are the shares kept at which each group is measured, besides the smallest. `objective` is what is
    measured ("divergence" needs no labels), on the first `examples` (None: all).
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    even: bool = True
    rank: Literal["energy", "taylor"] = "energy"
    fractions: tuple[float, ...] = FRACTIONS
    objective: Literal["loss", "divergence"] = "loss"
    examples: int | None = None

    def __post_init__(self) -> None:
        if self.rank not in RANKS:
            raise PenjingError(f"rank '{self.rank}' is not known{nearest(self.rank, RANKS)}; choose {', '.join(RANKS)}")
        if not self.fractions or not all(0 < f < 1 for f in self.fractions):
            raise PlanError(f"fractions are {list(self.fractions)}; needed one or more, each above 0 and below 1")

    def wants(self, layout: Layout) -> Wants:
        """Parameter -> the statistics needed of it: of every parameter that reads units."""
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        wanted = frozenset({ENERGY if self.rank == "energy" else TAYLOR})
        return Wants({t: wanted for a in axes for t, _ in layout.readers(a.name)}, live=True)

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis; `made["measured"]` tells what each group adds when it alone is cut.

        Raises:
            BudgetError: the budget cannot be met.
        """
        model, layout, stats, budget = view.model, view.layout, view.stats, view.budget
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        ranked = energies if self.rank == "energy" else effects
        scores = {a.name: ranked(model, layout, stats, a) for a in axes}
        groups = together(axes, even=self.even)
        made: dict[str, Any] = {"method": "measured", "settings": asdict(self), "budget": str(budget)}
        if budget.loss is None and (len(groups) == 1 or (self.even and budget.keep is not None)):
            counts = sizes(layout, axes, budget, model=model, multiple=self.multiple)
        else:
            steps = steps_of(layout, axes, self.multiple)
            live = view.running()
            count = min(self.examples or live.examples, live.examples)
            chosen = None if self.examples is None else range(count)
            figure = figure_of(live, scores, objective=self.objective, examples=chosen)
            measured = MeasuredSizes(groups, steps, figure, self.fractions)
            counts = measured.sizes(layout, budget, model)
            made["measured"] = {**measured.facts(counts), "examples": count}
        keeps = tuple(Keep(a.name, best(scores[a.name], counts[a.name])) for a in axes)
        return Plan(keeps, made={**made, "samples": stats.samples})


def energies(model: Checkpoint, layout: Layout, stats: Stats, axis: Axis) -> Tensor:
    """[units]: `score` of an axis."""
    norms = []
    for tensor, dim in layout.readers(axis.name):
        weight = model[tensor].float()
        for spots in places(layout.patterns[tensor][dim], axis.name):
            norms.append(rows(weight, dim, spots).square().view(*spots.shape, -1).sum(2))
    return score(zip(taken_in(layout, stats, axis.name, ENERGY), norms, strict=True))


def effects(model: Checkpoint, layout: Layout, stats: Stats, axis: Axis) -> Tensor:
    """[units]: the first-order effect of an axis on the loss, of all channels of a unit added up."""
    return score((x, torch.ones_like(x)) for x in taken_in(layout, stats, axis.name, TAYLOR))
