"""The mean, over examples, of the squared derivative of each example's objective."""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(gradient: Tensor) -> Tensor:
    """[as the parameter]: from one example's derivative."""
    return gradient.square()


STATISTIC = Statistic(reads="gradients of examples", shape="[as the parameter]", cost="backward", measure=measure)
