"""The mean of x xᵀ over the places of a convolution's window, where x is all that it multiplies there."""

import torch
from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor) -> Tensor:
    """[in in]: from the windows `x` [places in], channel by channel.

    Of a convolution in groups, and of a class that is not torch's own, windows are not known: there it is [0 0].
    """
    return torch.mm(x.T, x).div_(x.shape[0])


STATISTIC = Statistic(reads="windows", shape="[in in]", cost="forward", measure=measure, grouped=False)
