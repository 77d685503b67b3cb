"""Keep the units with the largest sum of the L2 norms of their rows of weights.

Source: Martra, "Fragile Knowledge, Robust Instruction-Following", arXiv:2512.22671: `|gate[i]|_2 + |up[i]|_2`,
in float32. The paper compares it with MAW. Deviation: sizes are rounded, to the nearest.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.uniform import sizes
from penjing.select.units import written_rows

CARD = Card(
    title="L2 of rows",
    paper="arXiv:2512.22671",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
)


def score(written: Iterable[Tensor]) -> Tensor:
    """[units]: the sum of the L2 norms of each unit's writing rows, [units fan] each. Higher is kept."""
    return sum((w.norm(dim=1) for w in written), start=torch.zeros(1))


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units whose writing rows have the largest L2 norms; the same share of every axis, no data.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive").
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
        keeps = [Keep(a.name, best(score(written_rows(view.model, view.layout, a.name)), counts[a.name])) for a in axes]
        return Plan(tuple(keeps), made={"method": "l2_rows", "settings": asdict(self), "budget": str(view.budget)})
