"""Train, zero the smallest weights, put all others back to where they were, and so again: a lottery ticket.

Each of `rounds` trainings ends with the same share of what is left going to zero, until the budget's is left. Then all
values, biases and what norms count too, are again what they were after the first steps of the first training, the
optimiser is new, the learning rate goes as at those steps, and the next training begins. One more training follows the
last zeros. The trainings are one run: each sees the data where the one before it stopped.

Source: Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks", ICLR 2019,
arXiv:1803.03635, section 2; `rewind` above 0: Frankle et al., "Linear Mode Connectivity and the Lottery Ticket
Hypothesis", ICML 2020, arXiv:1912.05671; `back` "rate": Renda et al., "Comparing Rewinding and Fine-tuning in Neural
Network Pruning", ICLR 2020, arXiv:2003.02389. Deviations: the budget is met exactly, of equal weights the first go;
the share of a round follows from the budget (the papers: 20 %); "reinit" gives every matrix its own starting values in
another order, which any model has, and starts where tickets do; the loop's optimiser and schedule. It is made for
models with new weights: of a trained model the start is what training gave, and the result is a gradual pruning.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.core import Card, Layout, Mask, Masks, Plan, Training, Update, Wants
from penjing.core.layout import globs_of
from penjing.errors import LayoutError, PlanError, nearest
from penjing.select.rankings import largest
from penjing.select.weights import density, matrices, zero_counts

CARD = Card(
    title="Lottery ticket",
    paper="arXiv:1803.03635",
    removes="single weights of the blocks' matrices, over several trainings from the same start",
    promise="approximates",
    needs=frozenset({"data"}),
)
CHOICES = {"scope": ("global", "tensor"), "kind": ("ticket", "reinit", "random"), "back": ("values", "rate")}


def halved(sizes: Sequence[int], slow: Sequence[bool], rounds: int, keep: float) -> list[float]:
    """[tensors]: the share of each that a round keeps, where `slow` ones lose half as much and all keep `keep` in all.

    >>> [round(s, 6) for s in halved([10, 10], [False, True], 1, 0.7)]
    [0.6, 0.8]
    """
    low, high = 0.0, 1.0  # what a round takes of the others
    for _ in range(60):
        rate = (low + high) / 2
        left = sum(n * (1 - rate / (2 if s else 1)) ** rounds for n, s in zip(sizes, slow, strict=True))
        low, high = (rate, high) if left > keep * sum(sizes) else (low, rate)
    return [1 - low / (2 if s else 1) for s in slow]


@dataclass(frozen=True, kw_only=True)
class Method:
    """`rounds` times train and zero, then train once more, in `steps` steps of the optimiser altogether.

    `tensors`, `protect` and `slow` are globs of tensors. `scope` is what is one ranking: all matrices ("global"), or
    each for itself ("tensor"); then those of `slow` lose half as much in a round, as the paper's last layer does.
    `rewind` is the share of a training after which values are kept: 0 is the start. `back` says what is put back: the
    values and the learning rate, or the "rate" alone. `kind` is what the last training is of: the "ticket", or a
    control: the ticket's mask on other values ("reinit"), or another mask of as many weights of each matrix ("random").
    `learning_rate` is the highest. A copy of the values is kept in memory.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    steps: int = 600
    learning_rate: float = 1e-4
    rounds: int = 5
    rewind: float = 0.0
    scope: Literal["global", "tensor"] = "global"
    back: Literal["values", "rate"] = "values"
    kind: Literal["ticket", "reinit", "random"] = "ticket"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise PlanError(f"{name} is '{value}'{nearest(value, known)}; it is one of {', '.join(known)}")
        if self.rounds < 1 or not 0 <= self.rewind < 1:
            raise PlanError(
                f"found rounds {self.rounds}, rewind {self.rewind:g}; needed 1 or more, and 0 up to below 1"
            )
        if self.slow and self.scope == "global":
            raise PlanError("slow is given and scope is 'global', where all is one ranking; give scope 'tensor'")
        if self.kind != "ticket" and self.back == "rate":
            raise PlanError(f"kind is '{self.kind}' and back 'rate'; a control needs back 'values', as its ticket does")
        if self.length < 1:
            raise PlanError(
                f"{self.steps} steps are fewer than the {self.rounds + 1} trainings of {self.rounds} rounds; give more"
            )

    @property
    def length(self) -> int:
        """Steps of the first training; each other one begins where values were kept, and the last has what is over."""
        whole = self.steps
        while whole > 0 and whole + self.rounds * (whole - self._kept_at(whole)) > self.steps:
            whole -= 1
        return whole

    @property
    def kept_at(self) -> int:
        """The step of the first training whose values come back."""
        return self._kept_at(self.length)

    def wants(self, layout: Layout) -> Wants:
        """The data, to train on."""
        return Wants(data=True)

    def prepare(self, run: Training) -> None:
        """Refuse what cannot be met; everything is trained.

        Raises:
            BudgetError: the budget is not of shares.
            LayoutError: no tensor matches.
        """
        density(run.budget)
        chosen = self._chosen(run)
        for glob in globs_of(self.slow):
            if not any(fnmatchcase(t, glob) for t in chosen):
                raise LayoutError(
                    f"no tensor that loses weights matches '{glob}', which is to be slow; correct the glob"
                )

    def loss(self, run: Training, batch: Any, output: Any) -> Tensor:
        """[]: the data's own."""
        return run.objective(batch, output)

    def step(self, run: Training) -> Masks | None:
        """At the end of a round the masks of the next one, and everything put back; else None."""
        if run.step == 0:
            run.rewind({}, steps=self.length, at=0)
        if run.step == self.kept_at and self.back == "values":
            kept = {n: t for n, t in run.module.state_dict().items() if isinstance(t, Tensor)}
            run.memory.update({n: t.detach().clone() for n, t in kept.items()})
        done, odd = divmod(run.step - self.length, self.length - self.kept_at)
        if odd or not 0 <= done < self.rounds:
            return None
        masks = self._masks(run, done + 1)
        is_last = done + 1 == self.rounds
        left = run.steps - run.step if is_last else self.length - self.kept_at
        values = dict(run.memory)
        if is_last and self.kind != "ticket":
            generator = torch.Generator().manual_seed(run.seed)
            if self.kind == "random":
                masks = {t: _in_another_order(m, generator) for t, m in masks.items()}
            else:
                self._redraw(run, values, generator)
        run.rewind(values, steps=self.kept_at + left, at=self.kept_at)
        return masks

    def finish(self, run: Training) -> Plan:
        """All values that training changed, and the masks; `made` tells how long the trainings were."""
        masks = {t: m.cpu() for t, m in run.masks.items()}
        edits = [Update(t, values) for t, values in run.changed().items()]
        edits += [Mask(t, m) for t, m in masks.items()]
        made = {"method": "lottery", "settings": asdict(self), "budget": str(run.budget)}
        least = min(float(m.float().mean()) for m in masks.values())
        told = {"training steps": self.length, "kept at": self.kept_at, "least": round(least, 6)}
        return Plan(tuple(edits), made={**made, **zero_counts(list(masks.values())), **told})

    def _kept_at(self, length: int) -> int:
        return min(round(self.rewind * length), length - 1)

    def _chosen(self, run: Training) -> list[str]:
        return [m.tensor for m in matrices(run.layout, self.tensors, protect=self.protect)]

    def _masks(self, run: Training, number: int) -> dict[str, Tensor]:
        """The masks after so many rounds, by the size of the weights as they were trained."""
        weights = {t: run.weight(t) for t in self._chosen(run)}
        share = density(run.budget)
        if self.scope == "global":
            return largest(weights, run.masks, share ** (number / self.rounds))
        slow = [any(fnmatchcase(t, g) for g in globs_of(self.slow)) for t in weights]
        shares = halved([w.numel() for w in weights.values()], slow, self.rounds, share)
        if not any(slow):
            shares = [share ** (1 / self.rounds)] * len(weights)
        found = {}
        for (tensor, weight), each in zip(weights.items(), shares, strict=True):
            found.update(largest({tensor: weight}, run.masks, each**number))
        return found

    def _redraw(self, run: Training, values: dict[str, Tensor], generator: torch.Generator) -> None:
        """Give every chosen matrix its kept values in another order."""
        now = run.module.state_dict()
        for tensor in self._chosen(run):
            own = run.name_of(tensor)
            drawn = _in_another_order(values[own], generator)
            values.update({n: drawn for n in values if now[n].data_ptr() == now[own].data_ptr()})  # shared ones too


def _in_another_order(values: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(values.numel(), generator=generator).to(values.device)
    return values.flatten()[order].view(values.shape)
