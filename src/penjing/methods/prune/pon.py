"""Keep the units with the largest product of the L1 norms of their rows of weights.

Source: Martra, "Fragile Knowledge, Robust Instruction-Following", arXiv:2512.22671: `|gate[i]|_1 * |up[i]|_1`,
in float32. The paper's code uses L1 norms where its text says L2; this follows the code. The paper compares it with
MAW. Deviation: sizes are rounded, to the nearest.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import prod

import torch
from torch import Tensor

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.uniform import sizes
from penjing.select.units import written_rows

CARD = Card(
    title="PON",
    paper="arXiv:2512.22671",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
)


def score(written: Iterable[Tensor]) -> Tensor:
    """[units], float64: the product of the L1 norms of each unit's writing rows, [units fan] each. Higher is kept.

    A residual axis is written by many matrices, and the product would leave what float32 holds.
    """
    return prod((w.abs().sum(1).double() for w in written), start=torch.ones(1).double())


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units whose writing rows have the largest product of L1 norms; the same share of every axis, no data.

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
        return Plan(tuple(keeps), made={"method": "pon", "settings": asdict(self), "budget": str(view.budget)})
