"""The angle between what goes into a block and what comes out of it and of each later one, at the last position."""

import torch
from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.statistic import Statistic


def measure(x: Tensor, y: Tensor, channels: int) -> Tensor:
    """[blocks from this one on]: one of them, 0 to 1 for half a turn, from the stream `x` and the later `y`."""
    if x.ndim == 3 and channels in (-1, 2):
        x, y = x[:, -1], y[:, -1]
    cosine = F.cosine_similarity(x, y, dim=channels if x.ndim > 2 else -1).clamp(-1, 1)
    return (torch.acos(cosine) / torch.pi).mean()


STATISTIC = Statistic(reads="span", shape="[blocks from this one on]", cost="forward", measure=measure)
