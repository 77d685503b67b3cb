"""Drop the blocks that turn the residual stream least, each for itself or a stretch of them.

The similarity of a stretch from block i over n blocks is the mean cosine, over all positions, of what goes into block i
and what comes out of block i + n - 1. One by one (n = 1) the most similar blocks go; with `consecutive`, the most
similar stretch of as many as have to go.

Source: He et al., "What Matters in Transformers? Not All Attention is Needed", arXiv:2406.15786, block drop; the
ranking one by one is that of ShortGPT, arXiv:2403.03853. The official code of the stretch reads the similarity of one
block more than it drops; here it is that of the stretch that goes. Deviations: blocks at both `ends` stay; of equally
similar blocks the deeper goes.
"""

from dataclasses import asdict, dataclass

import torch

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.select.blocks import paths
from penjing.select.dropping import blocks_under, inner, likeliest, stretch, the_list

ALONG = "span_cosine"

CARD = Card(
    title="Blocks by cosine similarity",
    paper="arXiv:2406.15786",
    removes="blocks",
    promise="approximates",
    needs=frozenset({ALONG}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Drop blocks; the budget's `keep` is the share of blocks that stays.

    `ends` blocks stay at the beginning and at the end. With `consecutive` the blocks that go are neighbours.
    """

    consecutive: bool = False
    ends: int = 1

    def wants(self, layout: Layout) -> Wants:
        """Block -> how similar what it takes in is to what it and each later one gives."""
        return Wants({path: frozenset({ALONG}) for path in paths(the_list(layout))})

    def plan(self, view: View) -> Plan:
        """The blocks that stay."""
        of = the_list(view.layout)
        along = [view.stats[path, ALONG].double() for path in paths(of)]
        single = torch.stack([cosines[0] for cosines in along])
        allowed = inner(of.size, self.ends)

        def chosen(count: int) -> tuple[int, ...]:
            if not self.consecutive:
                return likeliest(single, allowed, count)
            return stretch(along, allowed, count)

        kept = blocks_under(view.layout, view.model, view.budget, len(allowed), chosen)
        made = {"method": "blocks", "settings": asdict(self), "budget": str(view.budget), "samples": view.stats.samples}
        return Plan((Keep(of.axis, kept),), made={**made, "similarities": [round(float(s), 6) for s in single]})
