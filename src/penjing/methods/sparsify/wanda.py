"""Zero, in every row, the weights with the smallest |weight| times the norm of what they are multiplied with.

Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", arXiv:2306.11695, equation 1
and algorithm 1. Deviations: at once, statistics are those of the unpruned model; block by block, as in the paper, those
of the inputs that come out of the pruned blocks before, which needs the whole model in memory; the norm is the root of
the mean square over positions, which ranks as the norm does; a convolution's weights of one channel share that
channel's norm, whatever their place in the window.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from penjing.core import Card, Layout, Mask, Plan, Stats, View, Wants
from penjing.select.weights import by_rows, density, group_of, matrices, zero_counts

ENERGY = "input_energy"

CARD = Card(
    title="Wanda",
    paper="arXiv:2306.11695",
    removes="single weights of the blocks' matrices, the same share of every row",
    promise="equals its mask",
    needs=frozenset({ENERGY}),
)


def score(rows: Tensor, energy: Tensor) -> Tensor:
    """[outputs inputs]: |weight| times the root of the mean squared input [1 inputs], float32. Higher is kept."""
    return rows.float().abs() * energy.float().sqrt()


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the weights that move a row's output most on the calibration data.

    `tensors` and `protect` are globs of tensors, `pattern` such as "2:4" keeps two of every four neighbouring inputs.
    `block_by_block` says whether each block is seen behind those that are pruned already, or all at once.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    pattern: str = ""
    block_by_block: bool = False

    def wants(self, layout: Layout) -> Wants:
        """The statistics of each tensor, at once or block by block."""
        if self.block_by_block:
            return Wants(blocks=True)
        return Wants({m.tensor: CARD.needs for m in matrices(layout, self.tensors, protect=self.protect)})

    def plan(self, view: View) -> Plan:
        """Which weights stay in each row of each tensor."""
        chosen = {m.tensor: m for m in matrices(view.layout, self.tensors, protect=self.protect)}
        keep = density(view.budget)
        group = group_of(self.pattern, keep, list(chosen.values()))
        masks, samples = list[Tensor](), list[int]()

        def decide(names: Sequence[str], found: Stats) -> list[Mask]:
            samples.append(found.samples)
            parts = [chosen[n] for n in names]
            scores = (score(m.rows(view.model[m.tensor]), m.spread(found[m.tensor, ENERGY])) for m in parts)
            kept = [by_rows(s, keep, group) for s in scores]
            masks.extend(kept)
            return [Mask(m.tensor, m.back(k)) for m, k in zip(parts, kept, strict=True)]

        if self.block_by_block:
            edits = view.by_block().weights([*chosen], CARD.needs, decide)
        else:
            edits = decide([*chosen], view.stats)
        made = {"method": "wanda", "settings": asdict(self), "budget": str(view.budget), "samples": min(samples)}
        return Plan(tuple(edits), made={**made, **zero_counts(masks)})
