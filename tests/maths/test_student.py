"""Student's t."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.student import mean_of, quantile, two_sided_p


def naive_p(t, freedom, steps=4000):
    """1 minus the integral of the density from -t to t, by Simpson's rule."""
    front = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    width = t / steps
    heights = [front * (1 + (i * width) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(steps + 1)]
    weights = [1] + [4 if i % 2 else 2 for i in range(1, steps)] + [1]
    return 1 - 2 * width / 3 * sum(w * h for w, h in zip(weights, heights, strict=True))


@settings(max_examples=40)
@given(st.floats(0, 12), st.integers(1, 60))
@example(2.0**-24, 5)  # x is 1 but for seven parts in 10^16
def test_equals_the_integral(t, freedom):
    assert two_sided_p(t, freedom) == pytest.approx(naive_p(t, freedom), abs=1e-9)
    assert two_sided_p(-t, freedom) == two_sided_p(t, freedom)


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706205), (2, 4.302653), (5, 2.570582), (30, 2.042272), (1e6, 1.959966)]
)
def test_quantiles_are_those_of_printed_tables(freedom, expected):
    assert quantile(0.95, freedom) == pytest.approx(expected, abs=2e-6)


@given(st.floats(0.01, 0.999), st.integers(1, 10**6))
def test_the_quantile_undoes_p(level, freedom):
    assert two_sided_p(quantile(level, freedom), freedom) == pytest.approx(1 - level, rel=1e-9)


@given(st.floats(1e-9, 1e6))
def test_all_digits_are_right_at_both_ends(t):
    """With two degrees of freedom p is 1 - t / sqrt(2 + t^2), here without taking like from like."""
    root = math.sqrt(2 + t * t)
    assert two_sided_p(t, 2) == pytest.approx(2 / (root * (root + t)), rel=1e-12)


def test_the_ends():
    assert two_sided_p(0, 3) == 1
    assert two_sided_p(math.inf, 3) == 0


def test_no_freedom_is_refused():
    with pytest.raises(DataError, match="0 degrees of freedom"):
        two_sided_p(1, 0)


@given(values=st.lists(st.floats(-100, 100), min_size=2, max_size=20).filter(lambda v: max(v) - min(v) > 1e-3))
@settings(max_examples=40, deadline=None)
def test_what_is_said_of_a_mean_is_what_scipy_says(values):
    from scipy.stats import ttest_1samp

    found, wanted = mean_of(torch.tensor(values, dtype=torch.float64)), ttest_1samp(values, 0.0)
    low, high = wanted.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-9)


def test_values_that_do_not_vary_are_sure():
    assert mean_of(torch.ones(3)).p == 0
    assert mean_of(torch.zeros(3)).p == 1
    with pytest.raises(DataError, match="found 1 examples, and an interval needs 2 or more"):
        mean_of(torch.ones(1))
