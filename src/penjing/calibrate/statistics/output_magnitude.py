"""The root of the mean, over examples, of the squared mean of |y| over an example's positions.

y is what comes out of the layer, which is a norm as a rule.
"""

from torch import Tensor

from penjing.calibrate.statistic import Statistic


def measure(y: Tensor) -> Tensor:
    """[out]: the square of it, from the outputs `y` [examples positions out]."""
    return y.abs().mean(1).square().mean(0)


def finish(squared: Tensor) -> Tensor:
    """[out]: the root, once all examples were seen."""
    return squared.sqrt()


STATISTIC = Statistic(reads="outputs of examples", shape="[out]", cost="forward", measure=measure, finish=finish)
