"""The mean cosine between what goes into a block and what comes out of it and of each later one, over all positions."""

from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor, y: Tensor, channels: int) -> Tensor:
    """[blocks from this one on]: one of them, -1 to 1, from the stream `x` and the later `y`."""
    return F.cosine_similarity(x, y, dim=channels).mean()


STATISTIC = Statistic(reads="span", shape="[blocks from this one on]", cost="forward", measure=measure)
