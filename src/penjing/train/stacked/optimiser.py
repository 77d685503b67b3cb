"""SGD and AdamW over the rows of a stack: the arithmetic of torch's own, with a learning rate for each row."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from penjing.train.stacked.settings import Course
from penjing.train.stacked.stack import Stack

CHUNK = 1 << 18
"""Values that are moved at a time: several passes over what fits into a processor's cache."""


class Optimiser:
    """Moves the values of a stack by their gradients; masked weights neither move nor gather momentum."""

    def __init__(self, stack: Stack, course: Course, rates: Sequence[float]) -> None:
        self._stack, self._course = stack, course
        self._rates = torch.tensor(rates, dtype=torch.float32)[:, None]
        self._first = torch.zeros_like(stack.values)
        self._second = torch.zeros_like(stack.values) if course.optimiser == "adamw" else self._first
        self._decay = torch.cat([torch.full((prod(s),), float(len(s) > 1)) for s in stack.shapes.values()])
        self._decay *= course.weight_decay
        self.step_count = 0

    @torch.no_grad()
    def step(self, share: float) -> None:
        """One step at this share of the learning rates."""
        values, gradients = self._stack.values, self._stack.values.grad
        assert gradients is not None  # noqa: S101 - the caller has just taken them
        self.step_count += 1
        rows = max(1, CHUNK // values.shape[1])
        move = self._adamw if self._course.optimiser == "adamw" else self._sgd
        for start in range(0, len(values), rows):
            part = slice(start, start + rows)
            gradient = gradients[part]
            if self._stack.masks is not None:
                gradient.mul_(self._stack.masks[part])
            move(part, values[part], gradient, self._rates[part] * share)
            if self._stack.masks is not None:  # what moments were gathered before a mask would move it
                values[part].mul_(self._stack.masks[part])

    def _adamw(self, part: slice, values: Tensor, gradient: Tensor, rate: Tensor) -> None:
        """Source: Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; epsilon is 1e-8."""
        one, two = self._course.betas
        if self._course.weight_decay:
            values.mul_(1 - rate * self._decay)
        first, second = self._first[part], self._second[part]
        first.lerp_(gradient, 1 - one)
        second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
        size = (second / (1 - two**self.step_count)).sqrt_().add_(1e-8)
        values.sub_((first / size).mul_(rate / (1 - one**self.step_count)))

    def _sgd(self, part: slice, values: Tensor, gradient: Tensor, rate: Tensor) -> None:
        if self._course.weight_decay:
            gradient = gradient + values * self._decay
        first = self._first[part]
        if self.step_count == 1:
            first.copy_(gradient)
        else:
            first.mul_(self._course.momentum).add_(gradient)
        values.sub_(first * rate)
