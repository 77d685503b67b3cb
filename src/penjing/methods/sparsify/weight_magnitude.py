"""Zero the weights with the smallest absolute value: of each row, of each tensor, or of all tensors together.

Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", arXiv:1506.02626, section 3,
without its retraining. Deviation: an exact share instead of a threshold that is a multiple of the standard deviation.
"""

from torch import Tensor

from penjing.core import Card

CARD = Card(
    title="Weight magnitude",
    paper="arXiv:1506.02626",
    removes="single weights of the blocks' matrices",
    promise="equals its mask",
    reads="weights",
)


def score(rows: Tensor) -> Tensor:
    """[outputs inputs]: the absolute value of each weight, float32. Higher is kept."""
    return rows.float().abs()
