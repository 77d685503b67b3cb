"""The mean cosine between the stream before a part of a block adds to it and after, over all positions."""

from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor, y: Tensor, channels: int) -> Tensor:
    """[]: -1 to 1, from the stream before, `x`, and after, `y`, whose dimension `channels` holds the channels."""
    return F.cosine_similarity(x, y, dim=channels).mean()


STATISTIC = Statistic(reads="sublayer", shape="[]", cost="forward", measure=measure)
