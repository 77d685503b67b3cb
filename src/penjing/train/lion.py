"""The optimiser Lion: the sign of a mean of gradients, and decay that stands apart from it.

Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, algorithm 2. The paper advises a
learning rate 3 to 10 times smaller than AdamW's, and a decay as many times larger.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

BETAS = (0.9, 0.99)
"""The paper's own, for the step and for the mean that is kept."""


class Lion(Optimizer):
    """Moves each weight by the learning rate times the sign of c = b1 m + (1 - b1) g; then m = b2 m + (1 - b2) g."""

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-4, betas: tuple[float, float] = BETAS, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step, by the gradients that are there."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            first, second = group["betas"]
            for weight in group["params"]:
                if weight.grad is not None:
                    mean: Tensor = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                    turn = (first * mean + (1 - first) * weight.grad).sign()
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(turn, alpha=-group["lr"])
                    mean.lerp_(weight.grad, 1 - second)
        return loss
