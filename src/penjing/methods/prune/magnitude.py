"""Keep the units with the largest L2 norm over all their weights, in whatever tensors they occur.

Source: Li et al., "Pruning Filters for Efficient ConvNets", arXiv:1608.08710, section 3.1, for the idea of dropping the
smallest filters. Deviations: the L2 norm instead of L1, over every weight of a unit (those that write it, those that
read it, its bias and its norm gains) instead of over the filter alone, so that it is one rule for any axis.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from penjing.core import Card

CARD = Card(
    title="Magnitude",
    paper="arXiv:1608.08710",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    reads="all rows",
)


def score(rows: Iterable[Tensor]) -> Tensor:
    """[units]: the L2 norm of all weights of each unit; `rows` are [units fan] each. Higher is kept."""
    return sum((r.square().sum(1) for r in rows), start=torch.zeros(1)).sqrt()
