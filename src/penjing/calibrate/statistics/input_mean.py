"""The mean of each input over all samples."""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor) -> Tensor:
    """[in]: from the inputs `x` [samples in]."""
    return x.mean(0)


STATISTIC = Statistic(reads="inputs", shape="[in]", cost="forward", measure=measure)
