"""Round weights to a few even steps, with one scale for each row or group of a row, and pack the codes into words.

Source: rounding to nearest with a scale for each block, as in Dettmers and Zettlemoyer, "The case for 4-bit precision",
arXiv:2212.09720, section 2. The scale takes all 2^bits codes, so that the largest weight is half a step off, as any
other may be: max|w| / (2^(bits-1) - 1/2).
"""

import torch
from torch import Tensor

from penjing.errors import ExportError

WORD = 32
"""Bits of a word that codes are packed into."""


def to_codes(weight: Tensor, *, bits: int, group: int | None = None) -> tuple[Tensor, Tensor]:
    """(codes int8 [out in], scales [out groups] in the weight's dtype) of a matrix [out in]; no group: a scale a row.

    A code times its scale is the nearest that there is. What is all zero has the scale 1.

    Raises:
        ExportError: a row is not made of whole groups, or holds what is no finite number.
    """
    rows, width = weight.shape
    size = group or width
    if width % size:
        raise ExportError(f"rows of {width} values are not made of whole groups of {size}; give another group")
    values = weight.float().view(rows, width // size, size)
    largest = values.abs().amax(-1)
    if not bool(largest.isfinite().all()):
        raise ExportError("the weights hold NaN or infinity, which no code stands for; mend the model first")
    top = 2 ** (bits - 1)
    scales = (largest / (top - 0.5)).to(weight.dtype)
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    codes = (values / scales.float()[..., None]).round().clamp(-top, top - 1)
    return codes.view(rows, width).to(torch.int8), scales


def from_codes(codes: Tensor, scales: Tensor) -> Tensor:
    """float32 [out in]: what the codes [out in] stand for, by their scales [out groups]."""
    rows, width = codes.shape
    grouped = codes.float().view(rows, scales.shape[1], width // scales.shape[1])
    return (grouped * scales.float()[..., None]).view(rows, width)


def rounded(weight: Tensor, *, bits: int, group: int | None = None) -> Tensor:
    """float32 [out in]: the matrix as it is after it was quantised.

    Raises:
        ExportError: as `to_codes`.
    """
    return from_codes(*to_codes(weight, bits=bits, group=group))


def packed(codes: Tensor, bits: int) -> Tensor:
    """int32 [out words]: codes int8 [out in] in words, the first in the lowest bits, shifted to begin at zero.

    `bits` divides 32; what is left of the last word of a row is zero.

    >>> packed(torch.tensor([[-8, -7, 7]], dtype=torch.int8), 4).tolist() == [[0xF10]]
    True
    """
    per = WORD // bits
    shifted = codes.to(torch.int64) + 2 ** (bits - 1)
    shifted = torch.nn.functional.pad(shifted, (0, -codes.shape[1] % per)).view(len(codes), -1, per)
    words = (shifted << torch.arange(0, WORD, bits)).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def words(width: int, bits: int) -> int:
    """How many words a row of so many codes takes."""
    return -(-width * bits // WORD)
