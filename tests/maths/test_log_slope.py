"""The exponent of a power law is found, and its interval is that of a linear regression."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, t

from penjing.errors import DataError
from penjing.maths.log_slope import log_slope


@given(points=st.integers(3, 12), seed=st.integers(0, 99))
def test_equals_a_regression_of_logarithms(points, seed):
    draw = np.random.default_rng(seed)
    x, y = draw.uniform(0.5, 50, points), draw.uniform(0.1, 9, points)
    found, known = log_slope(x.tolist(), y.tolist()), linregress(np.log(x), np.log(y))
    half = t.ppf(0.975, points - 2) * known.stderr
    assert found.value == pytest.approx(known.slope, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((known.slope - half, known.slope + half), abs=1e-8)


def test_a_power_law_has_its_exponent_and_no_width():
    found = log_slope([1, 2, 4, 8], [3 * v**-0.5 for v in (1, 2, 4, 8)])
    assert (found.value, found.low, found.high) == pytest.approx((-0.5, -0.5, -0.5), abs=1e-6)


@pytest.mark.parametrize("odd", [0.0, math.inf, math.nan, -1.0])
def test_what_has_no_logarithm_gives_no_slope(odd):
    assert math.isnan(log_slope([1, 2, 4], [1.0, odd, 2.0]).value)


@pytest.mark.parametrize(("across", "up"), [([1, 2], [1.0, 2.0]), ([2, 2, 2], [1.0, 2.0, 3.0])])
def test_too_few_points_are_refused(across, up):
    with pytest.raises(DataError, match="a slope with an interval needs"):
        log_slope(across, up)
