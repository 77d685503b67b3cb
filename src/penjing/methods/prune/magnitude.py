"""Keep the units with the largest L2 norm over all their weights, in whatever tensors they occur.

Source: Li et al., "Pruning Filters for Efficient ConvNets", arXiv:1608.08710, section 3.1, for the idea of dropping the
smallest filters. Deviations: the L2 norm instead of L1, over every weight of a unit (those that write it, those that
read it, its bias and its norm gains) instead of over the filter alone, so that it is one rule for any axis.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.uniform import sizes
from penjing.select.units import all_rows

CARD = Card(
    title="Magnitude",
    paper="arXiv:1608.08710",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
)


def score(parts: Iterable[Tensor]) -> Tensor:
    """[units]: the L2 norm of all weights of each unit; `parts` are [units fan] each. Higher is kept."""
    return sum((p.square().sum(1) for p in parts), start=torch.zeros(1)).sqrt()


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units with the largest norm; the same share of every axis, no data. Works for any axis.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive", such as the residual of a model with norms).
    """

    axes: str = "neurons.*"
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        return Wants()

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis."""
        axes = choose(view.layout, self.axes, protect=self.protect, allow=self.allow)
        counts = sizes(view.layout, axes, view.budget, model=view.model, multiple=self.multiple)
        keeps = [Keep(a.name, best(score(all_rows(view.model, view.layout, a.name)), counts[a.name])) for a in axes]
        return Plan(tuple(keeps), made={"method": "magnitude", "settings": asdict(self), "budget": str(view.budget)})
