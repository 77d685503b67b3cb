"""What is averaged of a layer's inputs and outputs."""

import torch
from torch import Tensor

from penjing.calibrate.known import KNOWN, SAMPLED, WINDOWS

__all__ = ["KNOWN", "magnitude", "moment"]


def moment(name: str, x: Tensor) -> Tensor:
    """The mean over samples that a statistic of `SAMPLED` or `WINDOWS` names, of `x` [samples in]; [in] or [in in]."""
    if name == "input_mean":
        return x.mean(0)
    if name == "input_energy":
        return x.square().mean(0)
    if name == "input_activity":
        return x.ne(0).float().mean(0)
    assert name in (SAMPLED[-1], *WINDOWS)  # noqa: S101
    return torch.mm(x.T, x).div_(x.shape[0])


def magnitude(x: Tensor) -> Tensor:
    """[units]: the mean over examples of the squared mean of |x| over an example's positions.

    `x` is [examples positions units]. The statistic is the root of this, taken at the end of the pass.
    """
    return x.abs().mean(1).square().mean(0)
