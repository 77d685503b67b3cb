"""Between measured points: straight lines in the logarithms, flat outside."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.profiling.roofline.interpolate import curve, grid

AXES = ([4.0, 16.0, 64.0], [100.0, 1000.0], [3.0, 30.0, 300.0])
POWERS = {(a, b, c): 2 * a**0.5 * b**-0.3 * c for a in AXES[0] for b in AXES[1] for c in AXES[2]}


def test_points_are_met_and_ends_are_flat():
    points = [(1.0, 10.0), (10.0, 1000.0)]
    assert curve(points, 1.0) == pytest.approx(10)
    assert curve(points, 10.0) == pytest.approx(1000)
    assert curve(points, math.sqrt(10)) == pytest.approx(100)
    assert curve(points, 0.01) == pytest.approx(10)
    assert curve(points, 1e6) == pytest.approx(1000)
    assert curve([(5.0, 7.0)], 1.0) == pytest.approx(7)


@given(st.floats(4, 64), st.floats(100, 1000), st.floats(3, 300))
@settings(max_examples=30)
def test_powers_are_met_everywhere_inside(a, b, c):
    assert grid(POWERS, AXES, (a, b, c)) == pytest.approx(2 * a**0.5 * b**-0.3 * c, rel=1e-9)


def test_outside_the_nearest_face_holds():
    assert grid(POWERS, AXES, (1, 100, 3)) == pytest.approx(POWERS[4.0, 100.0, 3.0])
    assert grid(POWERS, AXES, (9999, 9999, 9999)) == pytest.approx(POWERS[64.0, 1000.0, 300.0])
