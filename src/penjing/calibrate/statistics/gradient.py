"""The derivative of an objective's mean over all examples, by the parameter."""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(gradient: Tensor) -> Tensor:
    """[as the parameter]: the batch's derivative itself."""
    return gradient


STATISTIC = Statistic(reads="gradient", shape="[as the parameter]", cost="backward", measure=measure)
