"""Keep units at random: what every other method has to beat.

Source: the control of the pruning literature; see Blalock et al., arXiv:2003.03033.
"""

import torch
from torch import Generator, Tensor

from penjing.core import Card

CARD = Card(
    title="Random",
    paper="arXiv:2003.03033",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    reads="nothing",
)


def score(units: int, generator: Generator) -> Tensor:
    """[units]: uniform in [0, 1), float64, so that ties are as good as impossible."""
    return torch.rand(units, generator=generator, dtype=torch.float64)
