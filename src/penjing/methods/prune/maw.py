"""Keep the units whose rows of weights span the widest range (peak to peak).

Source: Martra, "Fragile Knowledge, Robust Instruction-Following", arXiv:2512.22671: for neuron i of a GLU
`max_j gate[i,j] + |min_j gate[i,j]| + max_j up[i,j] + |min_j up[i,j]|` in float32. The paper calls it "maximum
absolute weight"; the formula is a range, and for a row of one sign `max + |min|` is followed, not `max - min`.
Deviations: sizes are rounded to what hardware likes unless `multiple` is 1, and then to the nearest instead of
truncating; any axis with writing weights can be scored, not only the neurons of a GLU.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from penjing.core import Card

CARD = Card(
    title="MAW",
    paper="arXiv:2512.22671",
    removes="units of an axis, by default the neurons of every MLP",
    promise="equals its mask",
    reads="writing rows",
)


def score(rows: Iterable[Tensor]) -> Tensor:
    """[units]: the sum of `max + |min|` over each unit's writing rows, [units fan] each. Higher is kept."""
    return sum((r.amax(1) + r.amin(1).abs() for r in rows), start=torch.zeros(1))
