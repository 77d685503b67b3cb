"""The exponent of a power law, with its interval: the slope of logarithms over logarithms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penjing.errors import DataError
from penjing.maths.student import quantile


@dataclass(frozen=True, kw_only=True)
class Slope:
    """A fitted exponent and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def log_slope(across: Sequence[float], up: Sequence[float]) -> Slope:
    """The b of up = a × across ** b by least squares in logarithms; the interval is Student's, of the residuals.

    A value that is not a number above 0 has no logarithm: then all three are NaN.

    Raises:
        DataError: there are fewer than three points, or all lie at one place.
    """
    if len(across) < 3 or len(set(across)) < 2:
        said = f"found {len(across)} points at {len(set(across))} places"
        raise DataError(f"{said}; a slope with an interval needs 3 points at 2 places; give more")
    if not all(math.isfinite(v) and v > 0 for v in (*across, *up)):
        return Slope(value=math.nan, low=math.nan, high=math.nan)
    x, y = [math.log(v) for v in across], [math.log(v) for v in up]
    middle, level = math.fsum(x) / len(x), math.fsum(y) / len(y)
    spread = math.fsum((a - middle) ** 2 for a in x)
    value = math.fsum((a - middle) * (b - level) for a, b in zip(x, y, strict=True)) / spread
    rest = math.fsum((b - level - value * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    half = quantile(0.95, len(x) - 2) * math.sqrt(rest / (len(x) - 2) / spread)
    return Slope(value=value, low=value - half, high=value + half)
