"""Running means of anything, which can be put down and taken up again."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

Key = tuple[str, str]
"""A parameter or block, and a statistic."""


@dataclass
class Means:
    """Float32 means with the number of samples (or examples) behind each.

    A batch of n after N samples moves a mean by `(batch - mean) * n / (N + n)`, so the sums never grow and the error
    of many batches stays near that of one (a sum in float32 would lose small batches against the total).
    """

    values: dict[Key, Tensor] = field(default_factory=dict)
    counts: dict[Key, int] = field(default_factory=dict)

    def move(self, key: Key, value: Tensor | None, count: int) -> None:
        """Take in the mean `value` of `count` more samples; None is a value of zero that nothing was seen of."""
        before = self.counts.get(key, 0)
        self.counts[key] = before + count
        share = count / (before + count)
        if key in self.values:
            held = self.values[key]
            held.mul_(1 - share) if value is None else held.lerp_(value.to(held), share)
        elif value is not None:
            # A copy: the same value may be given for several keys, and each is moved in place later.
            new = value.detach().to(torch.float32, copy=True)
            self.values[key] = new.mul_(share) if before else new
