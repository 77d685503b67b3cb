"""Keep the units whose removal would move the objective most, to first order.

The score of a unit adds up `weight x derivative` over every weight of the unit, in whatever tensors they lie: those
that write it, those that read it, its bias, its norm gains. With w the weights and g the derivatives of the mean
objective:

- `elements` (default): the sum of |w g|. Element-wise LLM-Pruner, arXiv:2305.11627 (first-order term, group sum), and
  Torch-Pruning's `GroupTaylorImportance`;
- `tensors`: the sum over the unit's tensors of |sum of w g|. Vector-wise LLM-Pruner; Torch-Pruning's `multivariable`;
- `unit`: |sum of w g over the whole unit|. Molchanov et al., arXiv:1906.10771, equation 9, whose square ranks alike;
- `squares`: the sum of (w g)^2. The same paper's independent sum, equations 8 and 10.

Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, arXiv:1906.10771. Uncertain:
the equations' numbers are from memory. Deviations: the paper averages the squares of the derivatives of many
minibatches while it fine-tunes; here the derivative is that of the mean over all data, taken once, so that what
examples ask for in opposite directions cancels. `fisher` is the `squares` without that: w^2 times the mean, over
single examples, of g^2. LLM-Pruner adds a second-order term and Torch-Pruning averages over tensors of one group and
divides by the mean; here tensors are summed, and `normalise` is "none" unless set (it matters only with an
`allocation` over axes). A weight that holds a unit in two of its dimensions counts in both.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from torch import Tensor

from penjing.core import Axis, Card, Keep, Layout, Plan, View, Wants
from penjing.errors import PenjingError, nearest
from penjing.maths import taylor
from penjing.maths.topk import best
from penjing.select.allocation import allocate
from penjing.select.axes import choose
from penjing.select.objectives import known
from penjing.select.saliency import pairs, sources

OBJECTIVES = ("loss", "output", "entropy")

CARD = Card(
    title="First-order Taylor",
    paper="arXiv:1906.10771",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    needs=frozenset({"loss_gradient"}),
)


def score(parts: Iterable[tuple[Tensor, Tensor]], reduce: str = "elements") -> Tensor:
    """[units], 0 or more: from weights and their derivatives, [units fan] each. Higher is kept.

    With `reduce` "fisher" the second of each pair is the mean of the squared derivative.

    Raises:
        PenjingError: `reduce` is not known.
    """
    if reduce == "fisher":
        return taylor.squares((w, mean.sqrt()) for w, mean in parts)
    if reduce not in taylor.REDUCES:
        known = (*taylor.REDUCES, "fisher")
        raise PenjingError(f"reduce '{reduce}' is not known{nearest(reduce, known)}; choose one of {', '.join(known)}")
    return taylor.reduced(parts, reduce)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units with the largest first-order effect on an objective.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive"). `objective` is what must not move: "loss", "output" or
    "entropy" (the last two need no labels). `reduce` is how a unit's weights add up. `allocation` is how axes share a
    budget: "uniform" (each the same fraction: a stock checkpoint), "global" (one ranking over all axes of a kind) or
    "adaptive" (the same, each axis's scores divided by their sum); `normalise` divides each axis's scores before that.
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    objective: Literal["loss", "output", "entropy"] = "loss"
    reduce: Literal["elements", "tensors", "unit", "squares", "fisher"] = "elements"
    normalise: Literal["none", "mean", "max"] = "none"
    allocation: Literal["uniform", "global", "adaptive"] = "uniform"

    @property
    def statistic(self) -> str:
        """The statistic that is read.

        Raises:
            PenjingError: the objective is not known.
        """
        return f"{known(self.objective, OBJECTIVES)}_{'fisher' if self.reduce == 'fisher' else 'gradient'}"

    def wants(self, layout: Layout) -> Wants:
        """Parameter -> the statistics needed of it: of every parameter that holds units."""
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        return Wants({t: frozenset({self.statistic}) for a in axes for t in sources(layout, a.name)})

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis."""
        axes = choose(view.layout, self.axes, protect=self.protect, allow=self.allow)
        scores = {a.name: self._scores(view, a) for a in axes}
        counts = allocate(
            view.layout, axes, view.budget, scores, how=self.allocation, model=view.model, multiple=self.multiple
        )
        keeps = tuple(Keep(a.name, best(scores[a.name], counts[a.name])) for a in axes)
        made = {"method": "taylor", "settings": asdict(self), "budget": str(view.budget)}
        return Plan(keeps, made={**made, "samples": view.stats.samples})

    def _scores(self, view: View, axis: Axis) -> Tensor:
        found = score(pairs(view.model, view.layout, view.stats, axis.name, self.statistic), self.reduce)
        return taylor.normalised(found, self.normalise)
