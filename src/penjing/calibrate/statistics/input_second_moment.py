"""The mean of x xᵀ over all samples, where x is what goes into the layer."""

import torch
from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor) -> Tensor:
    """[in in]: from the inputs `x` [samples in]."""
    return torch.mm(x.T, x).div_(x.shape[0])


STATISTIC = Statistic(reads="inputs", shape="[in in]", cost="forward", measure=measure, grouped=False)
