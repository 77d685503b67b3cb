"""Zero more and more of the smallest weights while training goes on, most of them early.

From step t0 to t1, every few steps, each matrix keeps the share `k(t) = k1 + (k0 - k1) (1 - (t - t0) / (t1 - t0))^3` of
its weights, those with the largest absolute value; then the masks stay and training goes on. A masked weight gets no
gradient and keeps its last value, with which it is ranked at the next update: it may come back.

Source: Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression",
arXiv:1710.01878, equation 1 and section 3. Deviations: exact counts, rounded up, and of equal weights the first go;
masks change every 10 steps (the paper: 100 to 1000, of a training of many thousands); the optimiser is Adam without
weight decay, its rate rising at first and falling to 0 in the last quarter; embeddings and the weights that give words
stay whole, which the paper prunes in its language models. Where few steps follow the ramp, the model does not recover
from what went last, and zeroing all at once (`begin` and `end` 0) ends ahead. At shares as small as 0.01 a small last
layer starves, as every matrix keeps the same share; protect it, or rank over all (`pretrain`).
"""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from penjing.core import Card, Layout, Mask, Masks, Plan, Training, Update, Wants
from penjing.errors import BudgetError, PlanError
from penjing.maths.schedules import due, polynomial
from penjing.maths.sparse_masks import best_of_all, zeros_of
from penjing.select.weights import density, matrices, zero_counts

CARD = Card(
    title="Gradual magnitude pruning",
    paper="arXiv:1710.01878",
    removes="single weights of the blocks' matrices, while all weights are trained",
    promise="approximates",
    needs=frozenset({"data"}),
)


def kept(weight: Tensor, keep: float) -> Tensor:
    """[as weight] bool: the `keep` x n weights with the largest absolute value, rounded up, at least one."""
    return best_of_all(weight.float().abs(), min(zeros_of(weight.numel(), keep), weight.numel() - 1))


@dataclass(frozen=True, kw_only=True)
class Method:
    """Train for some `steps`, and keep ever fewer weights on the way; every matrix keeps the same share.

    `tensors` and `protect` are globs of tensors. The share kept falls from `first` to the budget's between the shares
    `begin` and `end` of the steps (equal: all at once), `every` so many steps, with this `exponent` (1: evenly).
    `returning` says whether masked weights are ranked by the value that they had, so that they may come back, or as
    zeros. `learning_rate` is the highest.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    steps: int = 200
    learning_rate: float = 1e-4
    first: float = 1.0
    begin: float = 0.1
    end: float = 0.75
    every: int = 10
    exponent: float = 3.0
    returning: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.end <= 1:
            raise PlanError(f"begin is {self.begin:g} and end {self.end:g}, needed 0 <= begin <= end <= 1")
        if self.steps < 1 or self.every < 1 or not self.exponent > 0 or not 0 < self.first <= 1:
            raise PlanError(
                f"found steps {self.steps}, every {self.every}, exponent {self.exponent:g}, first {self.first:g}; "
                "needed 1 or more, 1 or more, above 0, and above 0 up to 1"
            )

    def wants(self, layout: Layout) -> Wants:
        """The data, to train on."""
        return Wants(data=True)

    def prepare(self, run: Training) -> None:
        """Refuse what cannot be met; everything is trained.

        Raises:
            BudgetError: the budget is not of shares, or keeps more than `first`.
            LayoutError: no tensor matches.
        """
        matrices(run.layout, self.tensors, protect=self.protect)
        if (last := density(run.budget)) > self.first:
            raise BudgetError(f"{last:g} of the weights are to stay, and first is {self.first:g}; give a larger first")

    def loss(self, run: Training, batch: Any, output: Any) -> Tensor:
        """[]: the data's own."""
        return run.objective(batch, output)

    def step(self, run: Training) -> Masks | None:
        """The masks of every matrix at an update, else None."""
        start, end = round(self.begin * run.steps), round(self.end * run.steps)
        if not due(run.step, start=start, end=end, every=self.every):
            return None
        last = density(run.budget)
        keep = polynomial(run.step, first=self.first, last=last, start=start, end=end, exponent=self.exponent)
        chosen = [m.tensor for m in matrices(run.layout, self.tensors, protect=self.protect)]
        return {t: kept(self._ranked(run, t), keep) for t in chosen}

    def finish(self, run: Training) -> Plan:
        """All values that training changed, and the masks."""
        masks = {t: m.cpu() for t, m in run.masks.items()}
        edits = [Update(t, values) for t, values in run.changed().items()]
        edits += [Mask(t, m) for t, m in masks.items()]
        made = {"method": "gradual_magnitude", "settings": asdict(self), "budget": str(run.budget)}
        return Plan(tuple(edits), made={**made, **zero_counts(list(masks.values()))})

    def _ranked(self, run: Training, tensor: str) -> Tensor:
        weight = run.weight(tensor)
        return weight * run.masks[tensor] if not self.returning and tensor in run.masks else weight
