"""The root of the mean, over examples, of the squared mean of |x| over an example's positions."""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor) -> Tensor:
    """[in]: the square of it, from the inputs `x` [examples positions in]."""
    return x.abs().mean(1).square().mean(0)


def finish(squared: Tensor) -> Tensor:
    """[in]: the root, once all examples were seen."""
    return squared.sqrt()


STATISTIC = Statistic(reads="inputs of examples", shape="[in]", cost="forward", measure=measure, finish=finish)
