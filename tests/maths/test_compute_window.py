"""The planner against the steps of the released runs, and against a loop over steps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import BudgetError
from penjing.maths.compute_window import Meter, mean_density, window, window_of_steps

RELEASED = [(0.2, 10_000, 2500, 8100, 11_200), (0.4, 10_000, 2500, 8875, 13_050), (0.6, 10_000, 2500, 10_100, 16_375)]
"""Sparsity, compute, start, end, steps: the configurations that the paper's authors released."""


@pytest.mark.parametrize(("sparsity", "compute", "start", "end", "steps"), RELEASED)
def test_the_released_runs_come_out(sparsity, compute, start, end, steps):
    found = window(compute, 1 - sparsity)
    assert found.start == start
    assert found.end == pytest.approx(end, abs=100)
    assert found.steps == pytest.approx(steps, rel=0.005)


def naive(found):
    """Each step in turn: what is left, and what is due."""
    density, total, events = 1.0, 0.0, 0
    factor = found.keep ** (1 / ((found.end - found.start) // found.every + 1))
    for step in range(found.steps):
        if found.start <= step <= found.end and (step - found.start) % found.every == 0:
            density, events = density * factor, events + 1
        total += density
    return total, density, events


@given(
    compute=st.integers(400, 4000), keep=st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    ends=st.sampled_from([(0.25, 0.75), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0), (0.75, 1.0)]),
    every=st.sampled_from([1, 20]),
)  # fmt: skip
def test_compute_is_what_was_asked_for_and_the_loop_says_the_same(compute, keep, ends, every):
    found = window(compute, keep, begin=ends[0], end=ends[1], every=every)
    total, last, events = naive(found)
    assert found.compute == pytest.approx(total)
    assert found.average == pytest.approx(total / found.steps)
    assert events == found.events
    assert last == pytest.approx(keep)
    assert total == pytest.approx(compute, rel=0.02, abs=2 * every)


def test_the_first_weights_go_at_the_start_and_the_last_at_the_end():
    found = window(10_000, 0.5)
    assert found.density(found.start - 1) == 1
    assert found.density(found.start) == pytest.approx(0.5 ** (1 / found.events))
    assert found.density(found.end - 1) > found.density(found.end) == pytest.approx(0.5)
    assert [found.due(s) for s in (found.start - 1, found.start, found.start + 100, found.end, found.end + 100)] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_steps_give_compute_back():
    found = window(5000, 0.3, every=1)
    assert window_of_steps(found.steps, 0.3, every=1).steps == pytest.approx(found.steps, abs=2)
    assert mean_density(1.0) == 1.0
    assert mean_density(0.4) == pytest.approx(0.6 / -math.log(0.4))


def test_the_meter_counts_as_the_window_says():
    found, meter = window(1000, 0.4, every=10), Meter()
    assert meter.average == 0
    for density in found.densities():
        meter.count(round(100_000 * density))
    assert meter.average / 100_000 == pytest.approx(found.average, abs=1e-5)


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"begin": 0.8}, {"every": 0}, {"compute": 0}])
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(BudgetError, match="needed 1 or more"):
        window(**{"compute": 1000, "keep": 0.5, **wrong})
