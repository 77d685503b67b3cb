"""Keep the units that the output depends on most, and take more of the MLPs than of attention.

The score of a unit adds up |weight x derivative| over every weight of the unit, biases too, where the derivative is
that of one number made of the model's output: the largest logit over positions, averaged over vocabulary and examples.
No labels are read.

Where several kinds of axes are named (`axes="neurons.*,heads.*"`), they lose different shares of their units:
v_neurons = gamma * v_heads, and both together the parameters that the budget says. gamma is given, or estimated: a
unit's importance I is the variance of what its reader takes in, added up over the unit's channels, p its parameters,
and a kind loses units in proportion to p / I of its median unit.

Source: Ai et al., "NIRVANA: Structured Pruning Reimagined for Large Language Models Compression", arXiv:2509.14230,
sections 4.1 to 4.3; the number made of the output as its code has it. Deviations: the paper estimates
gamma = (I_heads / p_heads) / (I_neurons / p_neurons) with I_heads / I_neurons = g s d_h var(V) / var(phi), where s is
the mean sum of squared attention weights; here the variance of what the output projection takes in stands for
s var(V), which the paper's own model makes equal. The median stands for all units, since a few huge activations decide
a mean alone. Layers lose alike unless `allocation` is "global", which is the paper's: one ranking over all layers of a
kind, each layer keeping its best unit at least. A stock config holds only the first. Kinds with large units are rounded
first, heads to a number that stock code opens, and those with small units make up for it; the paper rounds down, and
spares neurons to multiples of 8. Its choice of calibration data by divergence is `penjing data select`. The LoRA
afterwards is not here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from penjing.core import Axis, Card, Keep, Layout, Plan, Stats, View, Wants
from penjing.errors import BudgetError, DataError
from penjing.maths import taylor
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.between_kinds import Sharing, by_kind, weights
from penjing.select.objectives import known
from penjing.select.saliency import pairs, sources, taken_in
from penjing.surgery.loadable import opens

OBJECTIVES = ("output", "loss", "entropy")
ENERGY, MEAN = "input_energy", "input_mean"

CARD = Card(
    title="NIRVANA",
    paper="arXiv:2509.14230",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    needs=frozenset({"output_gradient"}),
)


def score(parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """[units], 0 or more: the sum of |w g| over weights and derivatives, [units fan] each. Higher is kept."""
    return taylor.reduced(parts, "elements")


def importance(taken: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """[units], 0 or more: the variance of what readers take in, added up over a unit's channels.

    `taken` are the mean square and the mean of each channel, [units channels] per reader.
    """
    variances = ((square.double() - mean.double().square()).clamp_min(0) for square, mean in taken)
    return sum((v.sum(1) for v in variances), start=torch.zeros(1).double())


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units with the largest first-order effect on the output; kinds of axes lose different shares.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive"). `objective` is what the derivative is of. `allocation`
    is how the axes of one kind share: "uniform" (each the same fraction: a stock checkpoint), or "global" (one ranking
    over all of them). `gamma` is how many times the share of the heads the neurons lose, where both are named (None:
    estimated; 1: the same share).
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    objective: Literal["output", "loss", "entropy"] = "output"
    allocation: Literal["uniform", "global"] = "uniform"
    gamma: float | None = None

    @property
    def statistic(self) -> str:
        """The statistic that is read.

        Raises:
            PenjingError: the objective is not known.
        """
        return f"{known(self.objective, OBJECTIVES)}_gradient"

    def wants(self, layout: Layout) -> Wants:
        """Parameter -> the statistics needed of it: of every parameter that holds units, and of readers for gamma."""
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        wanted = {t: frozenset({self.statistic}) for a in axes for t in sources(layout, a.name)}
        if self.gamma is None and len(by_kind(axes)) > 1:
            for name in (t for a in axes for t, _ in layout.readers(a.name)):
                wanted[name] = wanted.get(name, frozenset()) | {ENERGY, MEAN}
        return Wants(wanted)

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis; `made["rates"]` tells how fast each kind loses its units.

        Raises:
            BudgetError: the budget cannot be met, or gamma is not above 0.
            DataError: gamma cannot be estimated.
        """
        model, layout, stats = view.model, view.layout, view.stats
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        scores = {a.name: score(pairs(model, layout, stats, a.name, self.statistic)) for a in axes}
        rates = self._rates(layout, stats, axes)
        shared = Sharing(
            layout=layout, model=model, kinds=by_kind(axes), scores=scores, rates=rates, how=self.allocation,
            multiple=self.multiple, opens=partial(opens, model.config, layout),
        )  # fmt: skip
        counts = shared.sizes(view.budget)
        keeps = tuple(Keep(a.name, best(scores[a.name], counts[a.name])) for a in axes)
        made = {"method": "nirvana", "settings": asdict(self), "budget": str(view.budget), "samples": stats.samples}
        if len(rates) > 1:
            made |= {"rates": rates, "notes": list(shared.whole(counts))}
        return Plan(keeps, made=made)

    def _rates(self, layout: Layout, stats: Stats, axes: list[Axis]) -> dict[str, float]:
        """Kind -> how fast it loses units, 1 for the slowest."""
        kinds = by_kind(axes)
        if len(kinds) == 1:
            return dict.fromkeys(kinds, 1.0)
        if self.gamma is not None:
            if not self.gamma > 0:
                raise BudgetError(f"gamma is {self.gamma:g}, needed above 0; 1 takes the same share of every kind")
            return {kind: self.gamma if kind == "neurons" else 1.0 for kind in kinds}
        held, found = weights(layout, kinds), {}
        for kind, members in kinds.items():
            units = torch.cat([importance(_taken(layout, stats, a)) for a in members])
            typical = float(units.median())
            if not typical > 0:
                raise DataError(
                    f"half of the {kind} or more give nothing that varies on this data, and gamma needs that; set gamma"
                )
            found[kind] = held[kind] / len(units) / typical
        slowest = min(found.values())
        return {kind: rate / slowest for kind, rate in found.items()}


def _taken(layout: Layout, stats: Stats, axis: Axis) -> Iterator[tuple[Tensor, Tensor]]:
    squares, means = (taken_in(layout, stats, axis.name, statistic) for statistic in (ENERGY, MEAN))
    return zip(squares, means, strict=True)
