"""Student's t distribution, from the incomplete beta function, and what it says of a mean.

Source: Abramowitz and Stegun 26.5.8 (the continued fraction), 26.7.1; evaluated by Lentz's method.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from penjing.errors import DataError

_TINY = 1e-300
_STEPS = 500


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean with its standard error, the ends of its 95 % interval, and the p of a true mean of 0."""

    value: float
    error: float
    low: float
    high: float
    p: float


def mean_of(values: Tensor) -> Mean:
    """What [n] values say of the mean they are drawn around; of paired values, give the differences.

    Raises:
        DataError: there are fewer than two.
    """
    if len(values) < 2:
        raise DataError(f"found {len(values)} examples, and an interval needs 2 or more; give more data")
    value, error = float(values.double().mean()), float(values.double().std()) / len(values) ** 0.5
    half = quantile(0.95, len(values) - 1) * error
    p = two_sided_p(value / error, len(values) - 1) if error else float(value == 0)
    return Mean(value=value, error=error, low=value - half, high=value + half, p=p)


def two_sided_p(t: float, freedom: float) -> float:
    """How likely a |t| at least this large is with `freedom` degrees of freedom, 0 to 1.

    Raises:
        DataError: there is no freedom left.
    """
    if freedom <= 0:
        raise DataError(f"found {freedom} degrees of freedom; needed more than 0, so more points than parameters")
    if math.isinf(t):
        return 0.0
    if t * t < freedom:  # the other way round, x would lie so near to 1 that rounding decides
        return 1 - incomplete_beta(t * t / (freedom + t * t), 0.5, freedom / 2)
    return incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def quantile(level: float, freedom: float) -> float:
    """The t that |t| stays below with probability `level`, 0 to 1: half the width of an interval in standard errors.

    Raises:
        DataError: there is no freedom left.
    """
    low, high = 0.0, 1.0
    while two_sided_p(high, freedom) > 1 - level:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if two_sided_p(middle, freedom) > 1 - level else (low, middle)
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 to 1, for x from 0 to 1 and positive a and b."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    out, above, below = 1.0, 1.0, 0.0
    for i in range(_STEPS):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        below = 1 / _away(1 + term * below)
        above = _away(1 + term / above)
        out *= above * below
        if i and abs(above * below - 1) < 1e-15:
            break
    return out - 1


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
