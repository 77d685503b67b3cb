"""The mean of t xᵀ, where t is what the layer should give, so that the stream is again that of the dense model."""

import torch
from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(target: Tensor, x: Tensor) -> Tensor:
    """[out in]: from the targets [samples out] and the inputs `x` [samples in]."""
    return torch.mm(target.T, x).div_(len(x))


STATISTIC = Statistic(reads="targets", shape="[out in]", cost="many runs", measure=measure)
