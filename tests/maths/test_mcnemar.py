"""Coins for the items on which only one model is right."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.mcnemar import exact_p, mid_p


def naive(lost, gained):
    """(p, mid-p) by counting outcomes of fair coins: those further from the middle than what was seen, or as far."""
    n, gap = lost + gained, abs(lost - gained)
    outcomes = [abs(2 * sum(coins) - n) for coins in product((0, 1), repeat=n)]
    further = sum(o > gap for o in outcomes) / len(outcomes)
    same = sum(o == gap for o in outcomes) / len(outcomes)
    return further + same, further + same / 2


@given(st.integers(0, 6), st.integers(0, 6))
def test_equals_counting_all_outcomes(lost, gained):
    exact, middle = naive(lost, gained)
    assert exact_p(lost, gained) == pytest.approx(exact)
    assert mid_p(lost, gained) == pytest.approx(middle)


@settings(max_examples=30)
@given(st.integers(0, 900), st.integers(0, 900))
def test_equals_whole_numbers_of_outcomes(lost, gained):
    n, smaller = lost + gained, min(lost, gained)
    counts = [math.comb(n, k) for k in range(smaller + 1)]
    at_most, half = min(1.0, 2 * sum(counts) / 2**n), counts[-1] / 2**n
    assert exact_p(lost, gained) == pytest.approx(1.0 if lost == gained else at_most, rel=1e-10)
    less_half = at_most - half if lost != gained else 1 - half / 2
    assert mid_p(lost, gained) == pytest.approx(less_half, rel=1e-10)


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_is_symmetric_and_between_0_and_1(lost, gained):
    assert exact_p(lost, gained) == exact_p(gained, lost)
    assert 0 <= mid_p(lost, gained) <= exact_p(lost, gained) <= 1


def test_for_many_items_it_is_the_normal_test():
    # z = (5300 - 4700) / sqrt(10000) = 6, less half a step; six deviations out the normal tail is 1 % off
    z = torch.tensor(599 / 100, dtype=torch.float64)
    assert exact_p(4700, 5300) == pytest.approx(float(torch.special.erfc(z / 2**0.5)), rel=0.02)


def test_p_is_uniform_when_neither_is_better():
    g = torch.Generator().manual_seed(0)
    lost = (torch.rand(2000, 300, generator=g) < 0.5).sum(1).tolist()
    for alpha in (0.05, 0.2, 0.5):
        exact = sum(exact_p(n, 300 - n) <= alpha for n in lost) / 2000
        middle = sum(mid_p(n, 300 - n) <= alpha for n in lost) / 2000
        error = 3 * (alpha * (1 - alpha) / 2000) ** 0.5
        assert exact <= alpha + error
        # steps of 300 coins: one outcome more or less is up to 4.6 % of all at the middle, half of it here
        assert abs(middle - alpha) < error + 0.046


def test_counts_below_0_are_refused():
    with pytest.raises(DataError, match="-1 items lost"):
        exact_p(-1, 2)
