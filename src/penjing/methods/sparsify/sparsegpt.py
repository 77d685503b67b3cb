"""Zero weights column by column, and let the columns not yet reached make up for each.

Source: Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
arXiv:2301.00774, algorithm 1, with its blocks of 128 columns for both mask and updates and 1 % damping. Deviations: the
second moments are those of the unpruned model, not of one pruned up to the block before; the zeros of each block of
columns are counted exactly, not by a threshold; damping is raised where 1 % does not let a moment be inverted
(`made["notes"]` says where).
"""

from dataclasses import asdict, dataclass

from penjing.core import Budget, Card, Checkpoint, Edit, Layout, Mask, Plan, Stats, Update
from penjing.errors import PlanError
from penjing.maths.optimal_brain import factor, sweep
from penjing.select.weights import Matrix, density, group_of, matrices, told

MOMENT = "input_second_moment"

CARD = Card(
    title="SparseGPT",
    paper="arXiv:2301.00774",
    removes="single weights of the blocks' matrices; those that stay are changed",
    promise="approximates",
    needs=frozenset({MOMENT}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the weights that are hardest to replace, and change them to replace those that go.

    `tensors` and `protect` are globs of tensors, `pattern` such as "2:4" keeps two of every four neighbouring inputs,
    `damping` is added to the second moment's diagonal, as a share of its mean, `block` is how many columns are decided
    at a time.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    pattern: str = ""
    damping: float = 0.01
    block: int = 128

    def wants(self, layout: Layout) -> dict[str, frozenset[str]]:
        """Tensor -> the statistics needed of it."""
        return {m.tensor: CARD.needs for m in self._chosen(layout)}

    def plan(self, model: Checkpoint, layout: Layout, stats: Stats, budget: Budget) -> Plan:
        """New values of each tensor, and which of them stay."""
        chosen, keep = self._chosen(layout), density(budget)
        group = group_of(self.pattern, keep, chosen)
        edits: list[Edit] = []
        masks, notes = [], []
        for m in chosen:
            weight, moment = m.rows(model[m.tensor]).float(), stats[m.tensor, MOMENT]
            upper, used = factor(moment, self.damping)
            if used != self.damping:
                notes.append(f"{m.tensor}: its inputs' second moment was damped by {used:g}, not {self.damping:g}")
            dead = moment.diagonal() <= 0
            values, kept = sweep(weight.masked_fill(dead, 0.0), upper, keep, group=group, block=self.block)
            if not kept.all():
                edits.append(Update(m.tensor, m.back(values)))
                if dead.any():
                    notes.append(f"{m.tensor}: {int(dead.sum())} inputs were always zero; their weights are zero now")
            edits.append(Mask(m.tensor, m.back(kept)))
            masks.append(kept)
        made = {"method": "sparsegpt", "settings": asdict(self), "budget": str(budget), "samples": stats.samples}
        return Plan(tuple(edits), made={**made, **told(masks), "notes": notes})

    def _chosen(self, layout: Layout) -> list[Matrix]:
        found = matrices(layout, self.tensors, protect=self.protect)
        wrong = next((m for m in found if not m.plain), None)
        if wrong is not None:
            raise PlanError(
                f"{wrong.tensor} is a convolution with a window, and only second moments of single inputs are "
                "collected; protect it or use wanda"
            )
        return found
