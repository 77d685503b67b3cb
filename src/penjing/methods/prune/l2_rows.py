"""Keep the units with the largest sum of the L2 norms of their rows of weights.

Source: Martra, "Fragile Knowledge, Robust Instruction-Following", arXiv:2512.22671: `|gate[i]|_2 + |up[i]|_2`,
in float32. The paper compares it with MAW. Deviation: sizes are rounded, to the nearest.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from penjing.core import Card

CARD = Card(
    title="L2 of rows",
    paper="arXiv:2512.22671",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    reads="writing rows",
)


def score(rows: Iterable[Tensor]) -> Tensor:
    """[units]: the sum of the L2 norms of each unit's writing rows, [units fan] each. Higher is kept."""
    return sum((r.norm(dim=1) for r in rows), start=torch.zeros(1))
