"""Running means of anything, which can be put down and taken up again."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from penjing.calibrate.statistic import mean

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

    def move(
        self,
        key: Key,
        value: Tensor | None,
        count: int,
        merge: Callable[[Tensor, Tensor, float], Tensor] = mean,
    ) -> None:
        """Take in the `value` of `count` more samples; None is a value of zero that nothing was seen of.

        `merge` is the statistic's own; it gets what is held, the value and the value's share of all samples.
        """
        before = self.counts.get(key, 0)
        self.counts[key] = before + count
        share = count / (before + count)
        if key in self.values:
            held = self.values[key]
            if value is not None or merge is not mean:
                self.values[key] = merge(held, torch.zeros_like(held) if value is None else value, share)
            else:
                held.mul_(1 - share)
        elif value is not None:
            # A copy: the same value may be given for several keys, and each is moved in place later.
            new = value.detach().to(torch.float32, copy=True)
            if before:  # all that came before was zero
                new = new.mul_(share) if merge is mean else merge(torch.zeros_like(new), new, share)
            self.values[key] = new
