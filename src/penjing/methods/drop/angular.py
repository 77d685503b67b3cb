"""Drop the stretch of blocks over which the last token's stream turns least.

The distance over a stretch of n blocks is arccos(cosine) / pi between what goes into its first block and what comes out
of its last, at the last position, on the mean over examples; the stretch with the smallest goes.

Source: Gromov et al., "The Unreasonable Ineffectiveness of the Deeper Layers", arXiv:2403.17887, section 3. Deviations:
blocks at both `ends` stay (the paper only finds that the last should); no training follows here; of equal stretches the
deeper goes.
"""

from dataclasses import asdict, dataclass

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.select.blocks import paths
from penjing.select.dropping import blocks_under, inner, stretch, the_list

ANGLE = "span_angle"

CARD = Card(
    title="Blocks by angular distance",
    paper="arXiv:2403.17887",
    removes="a stretch of blocks",
    promise="approximates",
    needs=frozenset({ANGLE}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Drop neighbouring blocks; `ends` blocks stay at the beginning and at the end."""

    ends: int = 1

    def wants(self, layout: Layout) -> Wants:
        """Block -> how far what it and each later one gives is turned from what it takes in."""
        return Wants({path: frozenset({ANGLE}) for path in paths(the_list(layout))})

    def plan(self, view: View) -> Plan:
        """The blocks that stay."""
        of = the_list(view.layout)
        along = [view.stats[path, ANGLE].double() for path in paths(of)]
        allowed = inner(of.size, self.ends)

        def chosen(count: int) -> tuple[int, ...]:
            return stretch([-angles for angles in along], allowed, count)

        kept = blocks_under(view.layout, view.model, view.budget, len(allowed), chosen)
        made = {"method": "angular", "settings": asdict(self), "budget": str(view.budget)}
        return Plan((Keep(of.axis, kept),), made={**made, "samples": view.stats.samples})
