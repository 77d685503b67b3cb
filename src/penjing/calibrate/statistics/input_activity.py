"""The share of samples in which an input is not zero."""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor) -> Tensor:
    """[in]: 0 to 1, from the inputs `x` [samples in]."""
    return x.ne(0).float().mean(0)


STATISTIC = Statistic(reads="inputs", shape="[in]", cost="forward", measure=measure)
