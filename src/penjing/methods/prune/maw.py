"""Keep the units whose rows of weights span the widest range (peak to peak).

Source: Martra, "Fragile Knowledge, Robust Instruction-Following", arXiv:2512.22671: for neuron i of a GLU
`max_j gate[i,j] + |min_j gate[i,j]| + max_j up[i,j] + |min_j up[i,j]|` in float32. The paper calls it "maximum
absolute weight"; the formula is a range, and for a row of one sign `max + |min|` is followed, not `max - min`.
Deviations: sizes are rounded to what hardware likes unless `multiple` is 1, and then to the nearest instead of
truncating; any axis with writing weights can be scored, not only the neurons of a GLU.
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
    title="MAW",
    paper="arXiv:2512.22671",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
)


def score(written: Iterable[Tensor]) -> Tensor:
    """[units]: the sum of `max + |min|` over each unit's writing rows, [units fan] each. Higher is kept."""
    return sum((w.amax(1) + w.amin(1).abs() for w in written), start=torch.zeros(1))


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units whose writing rows have the widest range; the same share of every axis, no data.

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
        return Plan(tuple(keeps), made={"method": "maw", "settings": asdict(self), "budget": str(view.budget)})
