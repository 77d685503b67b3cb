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

from penjing.core import Budget, Card, Checkpoint, Layout, Mask, Plan, Stats
from penjing.select import block_by_block as walks
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
    `walk` says whether the model is seen at once or block by block, each behind those that are pruned.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    pattern: str = ""
    walk: walks.Walks = walks.AT_ONCE

    def __post_init__(self) -> None:
        walks.known(self.walk)

    def wants(self, layout: Layout) -> dict[str, frozenset[str]]:
        """Tensor -> the statistics needed of it before the plan; a walk collects its own."""
        if self.walk == walks.BY_BLOCK:
            return {}
        return {m.tensor: CARD.needs for m in matrices(layout, self.tensors, protect=self.protect)}

    def plan(self, model: Checkpoint, layout: Layout, stats: Stats, budget: Budget) -> Plan:
        """Which weights stay in each row of each tensor."""
        chosen = {m.tensor: m for m in matrices(layout, self.tensors, protect=self.protect)}
        keep = density(budget)
        group = group_of(self.pattern, keep, list(chosen.values()))
        masks, samples = list[Tensor](), list[int]()

        def decide(names: Sequence[str], found: Stats) -> list[Mask]:
            samples.append(found.samples)
            parts = [chosen[n] for n in names]
            scores = (score(m.rows(model[m.tensor]), m.spread(found[m.tensor, ENERGY])) for m in parts)
            kept = [by_rows(s, keep, group) for s in scores]
            masks.extend(kept)
            return [Mask(m.tensor, m.back(k)) for m, k in zip(parts, kept, strict=True)]

        if self.walk == walks.BY_BLOCK:
            edits = stats.walking().weights([*chosen], CARD.needs, decide)
        else:
            edits = decide([*chosen], stats)
        made = {"method": "wanda", "settings": asdict(self), "budget": str(budget), "samples": min(samples)}
        return Plan(tuple(edits), made={**made, **told(masks)})
