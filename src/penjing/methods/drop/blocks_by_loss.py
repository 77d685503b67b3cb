"""Drop the blocks without which the loss is lowest, each left out alone and measured.

Source: Muralidharan et al., NeurIPS 2024, arXiv:2407.14679, section 2.2, depth by perplexity: one block is left out,
the loss of what is left is its importance. Shortened LLaMA, arXiv:2402.02834, does the same. Deviations: all blocks are
ranked at once, and not again after each drop; blocks at both `ends` stay; of equal blocks the deeper goes.
"""

from dataclasses import asdict, dataclass

import torch

from penjing.core import Card, Keep, Layout, Plan, View, Wants
from penjing.select.dropping import blocks_under, inner, likeliest, the_list

CARD = Card(
    title="Blocks by the loss without them",
    paper="arXiv:2407.14679",
    removes="blocks",
    promise="approximates",
    needs=frozenset({"live"}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Drop the blocks whose absence costs least; `ends` blocks stay at the beginning and at the end."""

    ends: int = 1

    def wants(self, layout: Layout) -> Wants:
        """The model itself, which is run once for each block."""
        the_list(layout)
        return Wants(live=True)

    def plan(self, view: View) -> Plan:
        """The blocks that stay, and in `made` the loss without each of the others."""
        of = the_list(view.layout)
        allowed = inner(of.size, self.ends)
        losses = torch.full((of.size,), torch.inf, dtype=torch.float64)
        for k in allowed if of.size > 1 else ():
            left = tuple(i for i in range(of.size) if i != k)
            losses[k] = view.running().value(Plan((Keep(of.axis, left),)))

        def chosen(count: int) -> tuple[int, ...]:
            return likeliest(-losses, allowed, count)

        kept = blocks_under(view.layout, view.model, view.budget, len(allowed), chosen)
        made = {"method": "blocks_by_loss", "settings": asdict(self), "budget": str(view.budget)}
        told = {str(k): round(float(losses[k]), 6) for k in allowed}
        return Plan((Keep(of.axis, kept),), made={**made, "losses": told})
