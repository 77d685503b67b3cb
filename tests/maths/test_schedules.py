"""Schedules against the formula of the paper, of the share that goes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.maths.schedules import due, polynomial


def naive(t, t0, t1, initial, final, p):
    """s(t) = s_f + (s_i - s_f) (1 - clip((t - t0) / (t1 - t0), 0, 1))^p."""
    done = min(1.0, max(0.0, (t - t0) / (t1 - t0)))
    return final + (initial - final) * (1 - done) ** p


@given(
    t=st.integers(0, 60), t0=st.integers(0, 20), ramp=st.integers(1, 30), first=st.floats(0.5, 1.0),
    last=st.floats(0.01, 0.5), p=st.sampled_from([1.0, 3.0]),
)  # fmt: skip
def test_the_share_kept_is_one_less_the_share_of_the_paper(t, t0, ramp, first, last, p):
    found = polynomial(t, first=first, last=last, start=t0, end=t0 + ramp, exponent=p)
    assert found == pytest.approx(1 - naive(t, t0, t0 + ramp, 1 - first, 1 - last, p))


def test_half_way_seven_eighths_of_the_way_is_gone():
    assert polynomial(50, first=1.0, last=0.2, start=0, end=100) == pytest.approx(1 - 0.875 * 0.8)


@given(start=st.integers(0, 20), ramp=st.integers(0, 30), every=st.integers(1, 9))
def test_updates_begin_and_end_with_the_ramp(start, ramp, every):
    steps = [s for s in range(99) if due(s, start=start, end=start + ramp, every=every)]
    assert steps[0] == start
    assert steps[-1] == start + ramp
    assert all(b - a <= every for a, b in pairwise(steps))
