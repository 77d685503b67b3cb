"""Keep the units with the largest product of the L1 norms of their rows of weights.

Source: Martra, "Fragile Knowledge, Robust Instruction-Following", arXiv:2512.22671: `|gate[i]|_1 * |up[i]|_1`,
in float32. The paper's code uses L1 norms where its text says L2; this follows the code. The paper compares it with
MAW. Deviation: sizes are rounded, to the nearest.
"""

from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor

from penjing.core import Card

CARD = Card(
    title="PON",
    paper="arXiv:2512.22671",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    reads="writing rows",
)


def score(rows: Iterable[Tensor]) -> Tensor:
    """[units], float64: the product of the L1 norms of each unit's writing rows, [units fan] each. Higher is kept.

    A residual axis is written by many matrices, and the product would leave what float32 holds.
    """
    return prod((r.abs().sum(1).double() for r in rows), start=torch.ones(1).double())
