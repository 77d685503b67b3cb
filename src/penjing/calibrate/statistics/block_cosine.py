"""The mean cosine between a block's input and its output, over all positions."""

from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor, y: Tensor, channels: int) -> Tensor:
    """[]: -1 to 1, from a block's input `x` and output `y`, whose dimension `channels` holds the channels."""
    return F.cosine_similarity(x, y, dim=channels).mean()


STATISTIC = Statistic(reads="block", shape="[]", cost="forward", measure=measure)
