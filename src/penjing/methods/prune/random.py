"""Keep units at random: what every other method has to beat.

Source: the control of the pruning literature; see Blalock et al., arXiv:2003.03033.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Generator, Tensor

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.uniform import sizes

CARD = Card(
    title="Random",
    paper="arXiv:2003.03033",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
)


def score(units: int, generator: Generator) -> Tensor:
    """[units]: uniform in [0, 1), float64, so that ties are as good as impossible."""
    return torch.rand(units, generator=generator, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep units drawn without looking; the same share of every axis, each axis drawn anew.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive"), `seed` starts the draw.
    """

    axes: str = "neurons.*"
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    seed: int = 0

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        return Wants()

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis."""
        axes = choose(view.layout, self.axes, protect=self.protect, allow=self.allow)
        counts = sizes(view.layout, axes, view.budget, model=view.model, multiple=self.multiple)
        generator = torch.Generator().manual_seed(self.seed)
        keeps = [Keep(a.name, best(score(a.size, generator), counts[a.name])) for a in axes]
        return Plan(tuple(keeps), made={"method": "random", "settings": asdict(self), "budget": str(view.budget)})
