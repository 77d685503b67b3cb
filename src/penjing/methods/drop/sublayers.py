"""Leave out the attention, or the MLPs, that turn the residual stream least.

The similarity of a part is the mean cosine, over all positions, of the stream before it adds to it and after: its norm
belongs to it, and so does the residual. The most similar parts go; with both kinds, all stand in one ranking.

Source: He et al., "What Matters in Transformers? Not All Attention is Needed", arXiv:2406.15786, attention, MLP and
joint layer drop. Deviations: blocks at both `ends` stay whole; of equally similar parts the deeper goes; all are scored
in the original model at once, not again after each; in blocks whose parts work side by side, the stream of the second
has the first in it. A block that loses both parts stays in the list and computes nothing.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import torch

from penjing.core import Card, Layout, Plan, Replace, Spec, View, Wants
from penjing.errors import PenjingError, nearest
from penjing.select.dropping import inner, likeliest, the_list, under
from penjing.select.sublayers import Sublayer, sublayers, without
from penjing.select.uniform import cost

ALIKE = "sublayer_cosine"
PARTS = ("attention", "mlp", "both")

CARD = Card(
    title="Attention or MLPs left out",
    paper="arXiv:2406.15786",
    removes="the attention or the MLP of blocks, by default attention",
    promise="approximates",
    needs=frozenset({ALIKE}),
    opens="penjing.load",
    inserts=frozenset({"nothing"}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Leave parts out; the budget's `keep` is the share of parts of the chosen kind that stays.

    `part` is what may go. `ends` blocks stay whole at the beginning and at the end.
    """

    part: Literal["attention", "mlp", "both"] = "attention"
    ends: int = 1

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise PenjingError(f"part '{self.part}' is not known{nearest(self.part, PARTS)}; choose {', '.join(PARTS)}")

    def wants(self, layout: Layout) -> Wants:
        """Part -> how similar the stream is before and after it; of all, as they are added up one after another."""
        return Wants({part.path: frozenset({ALIKE}) for part in sublayers(layout)})

    def plan(self, view: View) -> Plan:
        """The parts that are left out, and in `made` how similar the stream is around each."""
        parts = sublayers(view.layout)
        told = {part.path: float(view.stats[part.path, ALIKE]) for part in parts}
        chosen = [p for p in parts if self.part in ("both", p.kind)]
        alike = torch.tensor([told[p.path] for p in chosen], dtype=torch.float64)
        blocks = inner(the_list(view.layout).size, self.ends)
        allowed = [i for i, p in enumerate(chosen) if p.block in blocks]

        def gone(count: int) -> list[Sublayer]:
            return [chosen[i] for i in likeliest(alike, allowed, count)]

        out = under(
            view.budget, len(chosen), min(len(allowed), len(chosen) - 1), gone,
            lambda parts: cost(without(view.layout, parts), {}, view.budget, view.model), what=f"parts ({self.part})",
        )  # fmt: skip
        made = {"method": "sublayers", "settings": asdict(self), "budget": str(view.budget)}
        similar = {path: round(value, 6) for path, value in told.items()}
        edits = tuple(Replace(part.path, Spec("nothing")) for part in out)
        return Plan(edits, made={**made, "samples": view.stats.samples, "similarities": similar})
