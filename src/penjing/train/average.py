"""Weights averaged along the way: the plain mean over the last steps, or a moving one from the start."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from penjing.train.settings import Settings


class Average:
    """The mean of named tensors, taken after each step; empty while there is none.

    Source: the mean, Izmailov et al., arXiv:1803.05407; the moving average, Polyak and Juditsky 1992.
    """

    def __init__(self, how: Settings, steps: int) -> None:
        self._how, self._from = how, steps - max(1, round(how.average * steps)) if how.average else steps
        self.held: dict[str, Tensor] = {}
        self.count = 0

    @torch.no_grad()
    def take(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Count the weights in, as they are after `step` steps."""
        if not self._how.ema and step <= self._from:
            return
        self.count += 1
        share = 1 - self._how.ema if self._how.ema and self.count > 1 else 1 / self.count
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                known = self.held.setdefault(name, torch.zeros_like(tensor))
                known.lerp_(tensor.detach(), share)

    @torch.no_grad()
    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the tensors their means."""
        for name, mean in self.held.items():
            tensors[name].copy_(mean)

    def restore(self, held: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what was kept."""
        self.held, self.count = dict(held), int(facts["averaged"])
