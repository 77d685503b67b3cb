"""Student's t distribution, and what it says of a mean."""

from dataclasses import dataclass

from torch import Tensor

from penjing.errors import DataError


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
    from scipy.special import betainc, betaincc

    half, square = _checked(freedom) / 2, t * t
    if square < freedom:  # each form where its argument is small; `stdtr` is off by 1e-9 near a t of 0
        return float(betaincc(0.5, half, square / (freedom + square)))
    return float(betainc(half, 0.5, freedom / (freedom + square)))


def quantile(level: float, freedom: float) -> float:
    """The t that |t| stays below with probability `level`, 0 to 1: half the width of an interval in standard errors.

    Raises:
        DataError: there is no freedom left.
    """
    from scipy.special import stdtrit

    return float(stdtrit(_checked(freedom), (1 + level) / 2))


def _checked(freedom: float) -> float:
    if freedom <= 0:
        raise DataError(f"found {freedom} degrees of freedom; needed more than 0, so more points than parameters")
    return freedom
