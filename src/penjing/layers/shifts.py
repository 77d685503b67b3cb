"""Groups of channels, shifted around the map and mixed by depthwise convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def chunks(size: int, groups: int) -> list[int]:
    """How many channels each group has: as many as `torch.chunk` would give."""
    step = -(-size // groups)
    return [max(0, min(step, size - i * step)) for i in range(groups)]


class MixShift(nn.Module):
    """The sum over two directions of each group shifted along it, by its distance and around the edge, and mixed.

    A group of k x k kernels is padded with zeros. x [batch C H W], as many channels out.
    """

    def __init__(self, size: int, shifts: Sequence[int], kernels: Sequence[int]) -> None:
        super().__init__()
        if len(shifts) != len(kernels):
            raise ValueError(f"{len(shifts)} shifts and {len(kernels)} kernels were given; needed one for each group")
        self.shifts = tuple(shifts)
        self.groups = chunks(size, len(shifts))
        if not all(self.groups):
            raise ValueError(f"{size} channels do not fill {len(shifts)} groups; take more channels, or fewer shifts")
        self.across, self.along = (
            nn.ModuleList(
                nn.Conv2d(n, n, kernel, padding=kernel // 2, groups=n)
                for n, kernel in zip(self.groups, kernels, strict=True)
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Groups side by side as they were."""
        parts = x.split(self.groups, 1)
        out = []
        for part, shift, across, along in zip(parts, self.shifts, self.across, self.along, strict=True):
            out.append(across(part.roll(shift, 3)) + along(part.roll(shift, 2)))
        return torch.cat(out, 1)
