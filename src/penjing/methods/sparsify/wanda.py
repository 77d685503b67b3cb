"""Zero, in every row, the weights with the smallest |weight| times the norm of what they are multiplied with.

Source: Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", arXiv:2306.11695, equation 1
and algorithm 1. Deviations: statistics are those of the unpruned model, not of one pruned up to the block before; the
norm is the root of the mean square over positions, which ranks as the norm does; a convolution's weights of one channel
share that channel's norm, whatever their place in the window.
"""

from dataclasses import asdict, dataclass

from torch import Tensor

from penjing.core import Budget, Card, Checkpoint, Layout, Mask, Plan, Stats
from penjing.select.weights import by_rows, density, group_of, matrices, told

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
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    pattern: str = ""

    def wants(self, layout: Layout) -> dict[str, frozenset[str]]:
        """Tensor -> the statistics needed of it."""
        return {m.tensor: CARD.needs for m in matrices(layout, self.tensors, protect=self.protect)}

    def plan(self, model: Checkpoint, layout: Layout, stats: Stats, budget: Budget) -> Plan:
        """Which weights stay in each row of each tensor."""
        chosen, keep = matrices(layout, self.tensors, protect=self.protect), density(budget)
        group = group_of(self.pattern, keep, chosen)
        masks = []
        for m in chosen:
            scores = score(m.rows(model[m.tensor]), m.spread(stats[m.tensor, ENERGY]))
            masks.append(by_rows(scores, keep, group))
        edits = tuple(Mask(m.tensor, m.back(kept)) for m, kept in zip(chosen, masks, strict=True))
        made = {"method": "wanda", "settings": asdict(self), "budget": str(budget), "samples": stats.samples}
        return Plan(edits, made={**made, **told(masks)})
