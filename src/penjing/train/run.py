"""`core.Training` of a module in memory: its masks, its optimiser, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from penjing.calibrate.objectives import objective
from penjing.core import Budget, Checkpoint, Layout, Masks
from penjing.errors import DataError

WARM, LAST = 0.05, 0.25
"""The shares of the steps in which the learning rate rises from 0, and in which it falls back to 0 at the end."""
LARGEST_NORM = 1.0
"""Gradients are scaled down to this norm."""


@dataclass(eq=False, kw_only=True)
class Run:
    """A module that is trained in place, with float32 weights.

    `names` maps stored names to those of the module where they differ; `model` is the original.
    """

    module: nn.Module
    model: Checkpoint
    layout: Layout
    budget: Budget
    steps: int
    learning_rate: float
    seed: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    step: int = 0
    masks: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    _held: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _optimiser: Optimizer | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._loss = objective("loss")

    @property
    def optimiser(self) -> Optimizer:
        """Adam over the parameters that want gradients when it is first asked for.

        Raises:
            DataError: none does.
        """
        if self._optimiser is None:
            parameters = [p for p in self.module.parameters() if p.requires_grad]
            if not parameters:
                raise DataError("no parameter wants a gradient, so nothing can be trained; set requires_grad of some")
            self._optimiser = Adam(parameters, lr=self.learning_rate)
        return self._optimiser

    def weight(self, tensor: str) -> Tensor:
        """A tensor's values; where it is masked, those that were there before.

        Raises:
            DataError: the module has no such tensor.
        """
        now = self._tensor(tensor).detach()
        return now if tensor not in self.masks else torch.where(self.masks[tensor], now, self._held[tensor])

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
            before, now = self.model[name], self._tensor(name).detach().cpu()
            if before.is_floating_point() and not torch.equal(now.to(before.dtype), before):
                out[name] = now.clone()
        return out

    def put(self, masks: Masks | None) -> None:
        """Put masks in force: what they take is zero from now on, what they give back is as it was.

        Raises:
            DataError: a mask is of a tensor that the module does not have, or of another shape.
        """
        for name, kept in (masks or {}).items():
            tensor = self._tensor(name)
            if kept.shape != tensor.shape:
                raise DataError(f"a mask of {name} has shape {list(kept.shape)}, needed {list(tensor.shape)}")
            whole = self.weight(name).clone()
            self.masks[name], self._held[name] = kept.to(tensor.device), whole
            with torch.no_grad():
                tensor.copy_(whole * self.masks[name])

    def descend(self, loss: Tensor) -> None:
        """One step of the optimiser; masked weights get no gradient and stay zero.

        Raises:
            DataError: the loss is not a number.
        """
        value = float(loss.detach())
        if value != value or abs(value) == float("inf"):
            raise DataError(f"the loss is {value} after {self.step} steps; lower the learning rate, or check the data")
        optimiser = self.optimiser
        optimiser.zero_grad()
        loss.backward()
        for name, kept in self.masks.items():
            gradient = self._tensor(name).grad
            if gradient is not None:
                gradient.mul_(kept)
        nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], LARGEST_NORM)
        for group in optimiser.param_groups:
            group["lr"] = self.learning_rate * rate(self.step, self.steps)
        optimiser.step()
        with torch.no_grad():
            for name, kept in self.masks.items():
                self._tensor(name).mul_(kept)
        self.losses.append(value)
        self.step += 1

    def _tensor(self, name: str) -> Tensor:
        own = self.names.get(name, name)
        path, _, last = own.rpartition(".")
        try:
            found = getattr(self.module.get_submodule(path), last)
        except AttributeError:
            found = None
        if not isinstance(found, Tensor):
            raise DataError(f"the module that is trained has no tensor '{own}'; make the layout from this model")
        return found


def rate(step: int, steps: int) -> float:
    """The share of the learning rate at a step: it rises at first, stays, and falls to 0 at the end.

    >>> [rate(s, 100) for s in (0, 4, 50, 80, 99)]
    [0.2, 1.0, 1.0, 0.8, 0.04]
    """
    up = (step + 1) / max(1.0, WARM * steps)
    down = (steps - step) / max(1.0, LAST * steps)
    return min(1.0, up, down)
