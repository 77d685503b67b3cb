"""The middle of some values, and how far they lie apart."""

from collections.abc import Sequence

import numpy as np

from penjing.errors import MeasureError


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, between neighbours by straight line.

    Raises:
        MeasureError: there are no values.
    """
    if not values:
        raise MeasureError("there are no values to take a quantile of; measure at least once")
    return float(np.quantile(values, share))


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return quantile(values, 0.5)


def interquartile_range(values: Sequence[float]) -> float:
    """The width of the middle half of the values."""
    return quantile(values, 0.75) - quantile(values, 0.25)
