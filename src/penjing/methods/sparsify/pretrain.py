"""Zero the same share of what is left, again and again, between two shares of the compute of training.

One ranking of |weight| over all matrices. From step t0 to t1, every few steps, the share that stays falls
geometrically to the budget's; what is zero stays zero. `begin` and `end` are shares of compute: a step at density d
costs d, so that a window from a quarter of the compute begins after a fifth of the steps or less.

Source: Jin et al., "The Journey Matters: Average Parameter Count over Pre-training Unifies Sparse and Dense Scaling
Laws", ICLR 2025, arXiv:2501.12486, section 3. Deviations: exact counts, of equal weights the first go; masks change
every 10 steps (the paper: 100, of a training of many thousands); the optimiser and the learning rate are the loop's
own; embeddings and the weights that give words stay whole, where the paper prunes the latter. It is made for training
from new weights; of a trained model it is a gradual pruning with another schedule.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from penjing.core import Card, Layout, Mask, Masks, Plan, Training, Update, Wants
from penjing.errors import BudgetError, PlanError, nearest
from penjing.maths.compute_window import Window, window_of_steps
from penjing.select.rankings import largest
from penjing.select.weights import density, matrices, zero_counts

CARD = Card(
    title="Sparse pre-training",
    paper="arXiv:2501.12486",
    removes="single weights of the blocks' matrices, while all weights are trained",
    promise="approximates",
    needs=frozenset({"data"}),
)
SCOPES = ("global", "tensor")


@dataclass(frozen=True, kw_only=True)
class Method:
    """Train for some `steps`; between the shares `begin` and `end` of its compute ever fewer weights are kept.

    `tensors` and `protect` are globs of tensors. `scope` is what is one ranking: all matrices ("global", as in the
    paper), or each for itself ("tensor"). Masks change `every` so many steps; `learning_rate` is the highest.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    steps: int = 200
    learning_rate: float = 1e-4
    begin: float = 0.25
    end: float = 0.75
    every: int = 10
    scope: Literal["global", "tensor"] = "global"

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.end <= 1:
            raise PlanError(f"begin is {self.begin:g} and end {self.end:g}, needed 0 <= begin <= end <= 1")
        if self.scope not in SCOPES:
            raise PlanError(f"scope is '{self.scope}'{nearest(self.scope, SCOPES)}; it is one of {', '.join(SCOPES)}")
        if self.steps < 1 or self.every < 1:
            raise PlanError(f"found steps {self.steps} and every {self.every}; needed 1 or more of both")

    def wants(self, layout: Layout) -> Wants:
        """The data, to train on."""
        return Wants(data=True)

    def prepare(self, run: Training) -> None:
        """Refuse what cannot be met; everything is trained.

        Raises:
            BudgetError: the budget is not of shares, or the window does not fit into the steps.
            LayoutError: no tensor matches.
        """
        matrices(run.layout, self.tensors, protect=self.protect)
        if (found := self.window(run)).end > run.steps:
            raise BudgetError(
                f"the window ends after step {found.end} of {run.steps}; give more steps, or a smaller every"
            )

    def window(self, run: Training) -> Window:
        """Between which steps weights go."""
        return window_of_steps(run.steps, density(run.budget), begin=self.begin, end=self.end, every=self.every)

    def loss(self, run: Training, batch: Any, output: Any) -> Tensor:
        """[]: the data's own."""
        return run.objective(batch, output)

    def step(self, run: Training) -> Masks | None:
        """The masks of all matrices when some go, else None."""
        found = self.window(run)
        if not found.due(run.step):
            return None
        chosen = [m.tensor for m in matrices(run.layout, self.tensors, protect=self.protect)]
        keep = found.density(run.step)
        groups = [chosen] if self.scope == "global" else [[t] for t in chosen]
        return {t: m for g in groups for t, m in largest({t: run.weight(t) for t in g}, run.masks, keep).items()}

    def finish(self, run: Training) -> Plan:
        """All values that training changed, and the masks; `made` tells the average share over training."""
        masks, found = {t: m.cpu() for t, m in run.masks.items()}, self.window(run)
        edits = [Update(t, values) for t, values in run.changed().items()]
        edits += [Mask(t, m) for t, m in masks.items()]
        average = sum(found.density(step) for step in range(run.steps)) / run.steps
        made = {"method": "pretrain", "settings": asdict(self), "budget": str(run.budget), "average": round(average, 6)}
        least = min(float(m.float().mean()) for m in masks.values()) if masks else 1.0
        return Plan(tuple(edits), made={**made, **zero_counts(list(masks.values())), "least": round(least, 6)})
