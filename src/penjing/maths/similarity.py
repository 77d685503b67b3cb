"""How alike examples are to one another, as distributions over the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F


def log_similarities(features: Tensor, inverse_temperature: float) -> Tensor:
    """[examples examples]: the logarithm of the softmax, row by row, over cosines times the inverse temperature.

    `features` are [examples ...], laid flat; an example's likeness to itself stays in.

    Source: AMP, arXiv:2603.08100.
    """
    unit = F.normalize(features.float().flatten(1), dim=1)
    return torch.log_softmax(inverse_temperature * unit @ unit.T, dim=1)
