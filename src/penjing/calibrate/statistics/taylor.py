"""The mean, over examples, of |sum over positions of x * d objective / d x|, of each input x."""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(sums: Tensor) -> Tensor:
    """[in]: from each example's sums over positions, [examples in]."""
    return sums.abs().mean(0)


STATISTIC = Statistic(reads="saliencies of examples", shape="[in]", cost="backward", measure=measure)
