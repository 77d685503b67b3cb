"""How much an objective moves when units go, to first order: from weights and their derivatives."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from penjing.errors import PenjingError, nearest

Reduce = Literal["elements", "tensors", "unit", "squares"]
REDUCES: tuple[Reduce, ...] = ("elements", "tensors", "unit", "squares")
Normalise = Literal["none", "mean", "max"]
NORMALISES: tuple[Normalise, ...] = ("none", "mean", "max")

Pairs = Iterable[tuple[Tensor, Tensor]]


def elements(parts: Pairs) -> Tensor:
    """[units], 0 or more: the sum of |w g| over all weights w of a unit and their derivatives g, [units fan] each.

    It bounds the change of the objective when the unit goes, to first order.
    """
    return _sum((w * g).abs().sum(1) for w, g in parts)


def tensors(parts: Pairs) -> Tensor:
    """[units], 0 or more: the sum, over the tensors of a unit, of |sum of w g|; `parts` are [units fan] each."""
    return _sum((w * g).sum(1).abs() for w, g in parts)


def unit(parts: Pairs) -> Tensor:
    """[units], 0 or more: |sum of w g over all weights of a unit|, the change of the objective to first order."""
    return _sum((w * g).sum(1) for w, g in parts).abs()


def squares(parts: Pairs) -> Tensor:
    """[units], 0 or more: the sum of (w g)^2 over all weights of a unit; `parts` are [units fan] each."""
    return _sum((w * g).square().sum(1) for w, g in parts)


def reduced(parts: Pairs, reduce: Reduce) -> Tensor:
    """[units]: one of the four sums, by its name.

    Raises:
        PenjingError: there is no such sum.
    """
    known = {"elements": elements, "tensors": tensors, "unit": unit, "squares": squares}
    if reduce not in known:
        raise PenjingError(f"reduce '{reduce}' is not known{nearest(reduce, known)}; choose one of {', '.join(known)}")
    return known[reduce](parts)


def normalised(scores: Tensor, by: Normalise) -> Tensor:
    """[units]: scores divided by their mean or largest, so that axes can be compared; all-zero scores stay.

    Raises:
        PenjingError: `by` is not none, mean or max.
    """
    if by not in NORMALISES:
        raise PenjingError(f"normalise '{by}' is not known{nearest(by, NORMALISES)}; choose none, mean or max")
    if by == "none":
        return scores
    whole = scores.mean() if by == "mean" else scores.max()
    return scores / whole if whole > 0 else scores


def _sum(each: Iterable[Tensor]) -> Tensor:
    """The sum in float64: units of wide models add up millions of terms."""
    return sum((x.double() for x in each), start=torch.zeros(1, dtype=torch.float64))
