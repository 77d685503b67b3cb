"""Running means of what a layer takes in."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

KNOWN = ("input_energy", "input_mean", "input_second_moment")


@dataclass
class Moments:
    """Means over all samples seen so far, float32: each batch moves them by its share.

    A batch of n after N samples moves a mean by `(batch - mean) * n / (N + n)`, so the sums never grow and the error
    of many batches stays near that of one (a sum in float32 would lose small batches against the total).
    """

    wanted: frozenset[str]
    samples: int = 0
    values: dict[str, Tensor] = field(default_factory=dict)

    def add(self, inputs: Tensor) -> None:
        """Take in one batch, [samples in]."""
        x = inputs.float()
        count = x.shape[0]
        share = count / (self.samples + count)
        for name in self.wanted:
            self._move(name, _statistic(name, x), share)
        self.samples += count

    def _move(self, name: str, value: Tensor, share: float) -> None:
        if name in self.values:
            self.values[name].lerp_(value, share)
        else:
            self.values[name] = value


def _statistic(name: str, x: Tensor) -> Tensor:
    if name == "input_mean":
        return x.mean(0)
    if name == "input_energy":
        return x.square().mean(0)
    return torch.mm(x.T, x).div_(x.shape[0])
