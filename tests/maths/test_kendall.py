"""Kendall's tau-b against a count of pairs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.kendall import agreement, kendall


def naive(x, y):
    """Pairs that agree less those that do not, over the pairs that are no ties, of each."""
    score = one = two = 0
    for i in range(len(x)):
        for j in range(i):
            a, b = (x[i] > x[j]) - (x[i] < x[j]), (y[i] > y[j]) - (y[i] < y[j])
            score, one, two = score + a * b, one + a * a, two + b * b
    return score / math.sqrt(one * two) if one and two else math.nan


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
def test_equals_the_count_with_ties(pairs):
    x, y = zip(*pairs, strict=True)
    found, _ = kendall(torch.tensor(x), torch.tensor(y))
    wanted = naive(x, y)
    assert math.isnan(found) if math.isnan(wanted) else found == pytest.approx(wanted)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of two normals that correlate by r, tau is 2 asin(r) / pi."""
    truth, held = 2 * math.asin(0.6) / math.pi, 0
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        x, noise = torch.randn(2, 60, generator=generator)
        said = agreement(x, 0.6 * x + 0.8 * noise, seed=seed, draws=100)
        held += said.low <= truth <= said.high
        assert said.low <= said.tau <= said.high
    assert held >= 34, f"{held} of 40, and 38 are due"


def test_of_what_does_not_agree():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 400, generator=generator)
    said = agreement(x, y, draws=200)
    assert abs(said.tau) < 2 / 20
    assert said.low < 0 < said.high
    assert math.isnan(agreement(x, torch.zeros(400)).tau)
    with pytest.raises(DataError, match="found 3 and 2 points"):
        kendall(torch.zeros(3), torch.zeros(2))
