"""`core.Training` of a module in memory: its masks, its optimiser, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from penjing.calibrate.objectives import objective
from penjing.core import Budget, Checkpoint, Layout, Masks
from penjing.errors import DataError, TrainingError
from penjing.train.average import Average
from penjing.train.optimisers import optimiser
from penjing.train.ranks import Ranks, parts_of, told_if_lost
from penjing.train.schedule import rate
from penjing.train.settings import Settings
from penjing.train.sharding import like, put_together, whole


@dataclass(eq=False, kw_only=True)
class Run:
    """A module that is trained in place, with float32 weights.

    `names` maps stored names to those of the module where they differ; `model` is the original. `how` is everything
    about the loop that is not the number of steps and the learning rate. `beside` holds modules that are trained with
    it and belong to no model, such as the projections of a loss. The learning rate goes as in a run of `course` steps
    (0: all) that began at the step `began`; `factors` is what that of a parameter of the module is multiplied by, 1
    where it does not tell. `ranks` are the processes that train it together.
    """

    module: nn.Module
    model: Checkpoint
    layout: Layout
    budget: Budget
    steps: int
    learning_rate: float
    seed: int = 0
    ranks: Ranks = field(default_factory=Ranks)
    how: Settings = field(default_factory=Settings)
    names: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    masks: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    norm: float = 0.0
    beside: nn.ModuleDict = field(default_factory=nn.ModuleDict, repr=False)
    best: dict[str, Tensor] = field(default_factory=dict, repr=False)
    held: dict[str, Tensor] = field(default_factory=dict, repr=False)
    memory: dict[str, Tensor] = field(default_factory=dict, repr=False)
    began: int = 0
    course: int = 0
    _gathered: list[float] = field(default_factory=list, repr=False)
    _optimiser: Optimizer | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        smoothing = {"smoothing": self.how.label_smoothing} if self.how.label_smoothing else {}
        self._loss = objective("loss", **smoothing)
        self.average = Average(self.how, self.steps)

    @property
    def optimiser(self) -> Optimizer:
        """The optimiser over the parameters that want gradients when it is first asked for.

        Raises:
            DataError: none does.
        """
        if self._optimiser is None:
            parts = (self.module.named_parameters(), self.beside.named_parameters("beside:"))
            named = [(n, p) for part in parts for n, p in part if p.requires_grad]
            if not named:
                raise DataError("no parameter wants a gradient, so nothing can be trained; set requires_grad of some")
            self._optimiser = optimiser(named, self.how, self.learning_rate, self.factors)
        return self._optimiser

    @property
    def pieces(self) -> int:
        """How many batches, or parts of such, this process takes in a step."""
        return self.how.accumulate * parts_of(self.ranks.count, self.how.accumulate) // self.ranks.count

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do any more: all steps are done, or held-out data say that it is enough."""
        return self.step >= self.steps or self.is_worn

    @property
    def is_worn(self) -> bool:
        """Whether the loss on held-out data has not become better for as often as the patience says."""
        losses = [loss for _, loss in self.held_out]
        if not self.how.patience or not losses:
            return False
        return len(losses) - 1 - losses.index(min(losses)) >= self.how.patience

    def trained(self) -> dict[str, Tensor]:
        """Name -> tensor of all that training moves: parameters that want gradients, and what norms count."""
        parameters = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        kept = self.module.state_dict(keep_vars=True)
        buffers = {n: b for n, b in self.module.named_buffers() if n in kept}
        return {**parameters, **buffers, **{f"beside:{n}": p for n, p in self.beside.named_parameters()}}

    def name_of(self, tensor: str) -> str:
        """What the module calls a tensor of the layout."""
        return self.names.get(tensor, tensor)

    def weight(self, tensor: str) -> Tensor:
        """A tensor's values; where it is masked, those that were there before.

        Raises:
            DataError: the module has no such tensor.
        """
        now = self.tensor(tensor).detach()
        return now if tensor not in self.masks else torch.where(self.masks[tensor], now, self.held[tensor])

    def objective(self, batch: Any, output: Any) -> Tensor:
        """[]: the loss that the data ask for: of the next token, or of the labels.

        Raises:
            DataError: the data have neither.
        """
        return self._loss(output, batch)

    def changed(self) -> dict[str, Tensor]:
        """The tensors whose values are no longer those of the original, masked weights as zeros; on the CPU."""
        out = {}
        for name in self.layout.patterns:
            if name in self.layout.aliases or name not in self.model.shapes:
                continue
            before, now = self.model[name], self.tensor(name).detach().cpu()
            if before.is_floating_point() and not torch.equal(now.to(before.dtype), before):
                out[name] = now.clone()
        return out

    def rewind(self, values: Mapping[str, Tensor], *, steps: int, at: int) -> None:
        """Put tensors of the module's state dict back, those under masks too, with an optimiser that knows nothing.

        The learning rate goes on as in a run of `steps` steps that has done `at`. The run's own count goes on.

        Raises:
            DataError: a value is of no tensor of the module, or of another shape.
        """
        own = self.module.state_dict()
        for name, value in values.items():
            if name not in own or own[name].shape != value.shape:
                found = f"has shape {list(own[name].shape)}" if name in own else "is not there"
                raise DataError(f"'{name}' cannot be put back to {list(value.shape)}: it {found}; give its own values")
            own[name].copy_(value)
        for name, kept in self.masks.items():
            if self.name_of(name) in values:
                tensor = self.tensor(name).detach()
                self.held[name] = tensor.clone()
                tensor.mul_(kept)
        self.began, self.course = self.step - at, steps
        if self._optimiser is not None:
            self._optimiser.state.clear()

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step."""
        return rate(step - self.began, self.course or self.steps, self.how)

    def put(self, masks: Masks | None) -> None:
        """Put masks in force: what they take is zero from now on, what they give back is as it was.

        Raises:
            DataError: a mask is of a tensor that the module does not have, or of another shape.
        """
        for name, kept in (masks or {}).items():
            tensor = self.tensor(name)
            if kept.shape != tensor.shape:
                raise DataError(f"a mask of {name} has shape {list(kept.shape)}, needed {list(tensor.shape)}")
            before = self.weight(name).clone()
            self.masks[name], self.held[name] = like(kept, tensor), before
            with torch.no_grad():
                tensor.copy_(before * self.masks[name])

    def gather(self, loss: Tensor, *, weight: float = 1.0) -> None:
        """Add a batch's gradients to those of the step that comes; `weight` is its part of a batch that is shared.

        Raises:
            TrainingError: the loss is not a number.
        """
        value = self.ranks.mean(weight * float(loss.detach()))
        if value != value or abs(value) == float("inf"):
            what = f"the loss is {value} after {self.step} steps"
            raise TrainingError(f"{what}; lower the learning rate, or check the data")
        if not self._gathered:
            self.optimiser.zero_grad()
        with told_if_lost(self.ranks):
            (loss / (self.pieces / weight)).backward()
        self._gathered.append(value)

    def descend(self, loss: Tensor | None = None) -> None:
        """One step of the optimiser, by what was gathered (or this loss); masked weights get no gradient and stay zero.

        Raises:
            TrainingError: the loss or a gradient is not a number.
        """
        if loss is not None:
            self.gather(loss)
        moved = self.optimiser
        for name, kept in self.masks.items():
            gradient = self.tensor(name).grad
            if gradient is not None:
                gradient.mul_(kept)
        parameters = [p for g in moved.param_groups for p in g["params"]]
        with told_if_lost(self.ranks):
            self.norm = float(whole(nn.utils.clip_grad_norm_(parameters, self.how.clip or float("inf"))))
        if self.norm != self.norm or self.norm == float("inf"):
            raise TrainingError(f"the gradient is {self.norm} after {self.step} steps; lower the learning rate")
        for group in moved.param_groups:
            group["lr"] = self.learning_rate * self.rate(self.step) * group["factor"]
        moved.step()
        with torch.no_grad():
            for name, kept in self.masks.items():
                self.tensor(name).mul_(kept)
        self.losses.append(sum(self._gathered) / len(self._gathered))
        self._gathered.clear()
        self.step += 1
        if self.how.average or self.how.ema:
            self.average.take(self.step, self.trained())

    def judge(self, loss: float) -> None:
        """Note the loss on held-out data; the best weights are kept if there is patience to run out of."""
        if self.how.patience and loss < min((one for _, one in self.held_out), default=float("inf")):
            self.best = {n: t.detach().clone() for n, t in self.trained().items()}
        self.held_out.append((self.step, loss))

    def settle(self) -> None:
        """Take the weights that are the result: the best where it stopped early, else the averaged, else the last."""
        with torch.no_grad():
            now = self.trained()
            if self.is_worn:
                for name, tensor in self.best.items():
                    now[name].copy_(tensor)
            else:
                self.average.put(now)
            for name, kept in self.masks.items():
                self.tensor(name).mul_(kept)

    def put_together(self) -> None:
        """Give the module whole tensors again, on the CPU; processes but the first one are left with none."""
        put_together(self.module, keep=self.ranks.first)
        self.masks = {n: whole(t).cpu() for n, t in self.masks.items()}
        self._optimiser = None

    def tensor(self, name: str) -> Tensor:
        """The parameter or buffer of the module that has this stored name.

        Raises:
            DataError: the module has no such tensor.
        """
        own = self.name_of(name)
        path, _, last = own.rpartition(".")
        try:
            found = getattr(self.module.get_submodule(path), last)
        except AttributeError:
            found = None
        if not isinstance(found, Tensor):
            raise DataError(f"the module that is trained has no tensor '{own}'; make the layout from this model")
        return found
