"""Zero weights column by column, and let the columns not yet reached make up for each.

Source: Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
arXiv:2301.00774, algorithm 1, with its blocks of 128 columns for both mask and updates and 1 % damping. Deviations: at
once, the second moments are those of the unpruned model; block by block, as in the paper, those of the inputs that come
out of the pruned blocks before, which needs the whole model in memory; the zeros of each block of columns are counted
exactly, not by a threshold; damping is raised where 1 % does not let a moment be inverted (`made["notes"]` says where).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from penjing.core import Card, Checkpoint, Edit, Layout, Mask, Plan, Stats, Update, View, Wants
from penjing.errors import UnsupportedError
from penjing.maths.optimal_brain import factor, sweep
from penjing.select.weights import Matrix, density, group_of, matrices, zero_counts

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
    at a time. `block_by_block` says whether each block is seen behind those that are pruned already, or all at once.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    pattern: str = ""
    damping: float = 0.01
    block: int = 128
    block_by_block: bool = False

    def wants(self, layout: Layout) -> Wants:
        """The statistics of each tensor, at once or block by block."""
        if self.block_by_block:
            return Wants(blocks=True)
        return Wants({m.tensor: CARD.needs for m in self._chosen(layout)})

    def plan(self, view: View) -> Plan:
        """New values of each tensor, and which of them stay."""
        chosen, keep = {m.tensor: m for m in self._chosen(view.layout)}, density(view.budget)
        group = group_of(self.pattern, keep, list(chosen.values()))
        masks, samples, notes = list[Tensor](), list[int](), list[str]()

        def decide(names: Sequence[str], found: Stats) -> list[Edit]:
            samples.append(found.samples)
            edits: list[Edit] = []
            for m in (chosen[n] for n in names):
                values, kept = self._swept(m, view.model, found, keep, group, notes)
                if not kept.all():
                    edits.append(Update(m.tensor, m.back(values)))
                edits.append(Mask(m.tensor, m.back(kept)))
                masks.append(kept)
            return edits

        if self.block_by_block:
            edits = view.by_block().weights([*chosen], CARD.needs, decide)
        else:
            edits = decide([*chosen], view.stats)
        made = {"method": "sparsegpt", "settings": asdict(self), "budget": str(view.budget), "samples": min(samples)}
        return Plan(tuple(edits), made={**made, **zero_counts(masks), "notes": notes})

    def _swept(
        self, m: Matrix, model: Checkpoint, stats: Stats, keep: float, group: tuple[int, int] | None, notes: list[str]
    ) -> tuple[Tensor, Tensor]:
        """(new values, which stay), [outputs columns] each."""
        weight, moment = m.rows(model[m.tensor]).float(), stats[m.tensor, MOMENT]
        upper, used = factor(moment, self.damping)
        if used != self.damping:
            notes.append(f"{m.tensor}: its inputs' second moment was damped by {used:g}, not {self.damping:g}")
        dead = moment.diagonal() <= 0
        values, kept = sweep(weight.masked_fill(dead, 0.0), upper, keep, group=group, block=self.block)
        if dead.any() and not kept.all():
            notes.append(f"{m.tensor}: {int(dead.sum())} inputs were always zero; their weights are zero now")
        return values, kept

    def _chosen(self, layout: Layout) -> list[Matrix]:
        found = matrices(layout, self.tensors, protect=self.protect)
        wrong = next((m for m in found if not m.plain), None)
        if wrong is not None:
            raise UnsupportedError(
                f"{wrong.tensor} is a convolution with a window, and only second moments of single inputs are "
                "collected; protect it or use wanda"
            )
        return found
