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

from penjing.core import Budget, Card, Checkpoint, Edit, Layout, Mask, Plan, Stats, Update
from penjing.errors import PlanError
from penjing.maths.optimal_brain import factor, sweep
from penjing.select import block_by_block as walks
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
    at a time. `walk` says whether the model is seen at once or block by block, each behind those that are pruned.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    pattern: str = ""
    damping: float = 0.01
    block: int = 128
    walk: walks.Walks = walks.AT_ONCE

    def __post_init__(self) -> None:
        walks.known(self.walk)

    def wants(self, layout: Layout) -> dict[str, frozenset[str]]:
        """Tensor -> the statistics needed of it before the plan; a walk collects its own."""
        if self.walk == walks.BY_BLOCK:
            return {}
        return {m.tensor: CARD.needs for m in self._chosen(layout)}

    def plan(self, model: Checkpoint, layout: Layout, stats: Stats, budget: Budget) -> Plan:
        """New values of each tensor, and which of them stay."""
        chosen, keep = {m.tensor: m for m in self._chosen(layout)}, density(budget)
        group = group_of(self.pattern, keep, list(chosen.values()))
        masks, samples, notes = list[Tensor](), list[int](), list[str]()

        def decide(names: Sequence[str], found: Stats) -> list[Edit]:
            samples.append(found.samples)
            edits: list[Edit] = []
            for m in (chosen[n] for n in names):
                values, kept = self._swept(m, model, found, keep, group, notes)
                if not kept.all():
                    edits.append(Update(m.tensor, m.back(values)))
                edits.append(Mask(m.tensor, m.back(kept)))
                masks.append(kept)
            return edits

        if self.walk == walks.BY_BLOCK:
            edits = stats.walking().weights([*chosen], CARD.needs, decide)
        else:
            edits = decide([*chosen], stats)
        made = {"method": "sparsegpt", "settings": asdict(self), "budget": str(budget), "samples": min(samples)}
        return Plan(tuple(edits), made={**made, **told(masks), "notes": notes})

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
            raise PlanError(
                f"{wrong.tensor} is a convolution with a window, and only second moments of single inputs are "
                "collected; protect it or use wanda"
            )
        return found
