"""How two figures move together."""

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.correlation import (
    fisher_interval,
    leverage,
    pearson,
    pearson_p,
    ranks,
    spearman,
    spearman_p,
)

# whole numbers: no two are equal but for rounding
points = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=7)


def columns(pairs):
    return tuple(torch.tensor(c, dtype=torch.float64) for c in zip(*pairs, strict=True))


def naive_pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    below = math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))
    return above / below if below else math.nan


def naive_ranks(values):
    ordered = sorted(values)
    return [sum(i + 1 for i, o in enumerate(ordered) if o == v) / ordered.count(v) for v in values]


@given(points)
def test_equals_the_loops(pairs):
    x, y = columns(pairs)
    a, b = zip(*pairs, strict=True)
    assert float(pearson(x, y)) == pytest.approx(naive_pearson(a, b), nan_ok=True, abs=1e-12)
    assert ranks(x).tolist() == naive_ranks(a)
    expected = naive_pearson(naive_ranks(a), naive_ranks(b))
    assert float(spearman(x, y)) == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_rows_are_taken_for_themselves():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(5, 7, generator=g), torch.randn(5, 7, generator=g)
    for i in range(5):
        assert float(pearson(x, y)[i]) == pytest.approx(float(pearson(x[i], y[i])))
        assert float(spearman(x, y)[i]) == pytest.approx(float(spearman(x[i], y[i])))


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=5))
def test_the_p_of_ranks_counts_all_orders(pairs):
    x, y = columns(pairs)
    found = float(spearman(x, y))
    if math.isnan(found):
        return
    all_found = [float(spearman(x, y[list(order)])) for order in permutations(range(len(y)))]
    expected = sum(abs(f) >= abs(found) - 1e-9 for f in all_found) / len(all_found)
    assert spearman_p(x, y) == pytest.approx(expected)


def test_the_published_correlation_is_found_again():
    """MMLU and TruthfulQA-MC2 of Llama-3.2-3B at seven widths: r = -0.864, p = 0.012 (arXiv:2512.22671)."""
    mmlu = torch.tensor([0.5605, 0.4333, 0.2909, 0.2307, 0.2587, 0.2555, 0.2589])
    truthful = torch.tensor([0.392, 0.377, 0.430, 0.439, 0.448, 0.439, 0.457])
    r = float(pearson(mmlu, truthful))
    # the printed rows are rounded to three places
    assert r == pytest.approx(-0.864, abs=0.002)
    assert pearson_p(r, 7) == pytest.approx(0.012, abs=0.0005)
    # the uncut model alone carries three quarters of what a point can
    assert float(leverage(mmlu)[0]) == pytest.approx(0.744, abs=0.001)


def test_p_is_uniform_when_there_is_nothing():
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 1000, 7, generator=g)
    values = [pearson_p(float(r), 7) for r in pearson(x, y)]
    for alpha in (0.05, 0.3):
        share = sum(p < alpha for p in values) / 1000
        assert abs(share - alpha) < 3 * math.sqrt(alpha * (1 - alpha) / 1000)


@pytest.mark.parametrize("of_ranks", [False, True])
def test_the_interval_covers_the_truth_as_often_as_it_says(of_ranks):
    g = torch.Generator().manual_seed(2)
    x, noise = torch.randn(2, 400, 20, generator=g)
    y = 0.6 * x + 0.8 * noise
    # the rank correlation of normal variables: 6/pi asin(r/2)
    truth = 6 / math.pi * math.asin(0.3) if of_ranks else 0.6
    found = (spearman if of_ranks else pearson)(x, y).tolist()
    bounds = [fisher_interval(r, 20, of_ranks=of_ranks) for r in found]
    assert 0.92 <= sum(low <= truth <= high for low, high in bounds) / 400 <= 0.98


def test_intervals_at_the_ends():
    assert fisher_interval(0.5, 3) == (-1, 1)
    low, high = fisher_interval(1.0, 10)
    assert 0.999 < low <= high <= 1


@given(points)
def test_the_pulls_on_a_line_add_up_to_its_two_parameters(pairs):
    x, _ = columns(pairs)
    if float(x.std()) > 0:
        assert float(leverage(x).sum()) == pytest.approx(2)


@given(points.filter(lambda pairs: all(len(set(c)) > 1 for c in zip(*pairs, strict=True))))
def test_coefficients_and_intervals_are_those_of_scipy(pairs):
    from scipy.stats import pearsonr, spearmanr

    x, y = columns(pairs)
    wanted, r = pearsonr(x, y), float(pearson(x, y))
    assert r == pytest.approx(wanted.statistic, abs=1e-12)
    assert float(spearman(x, y)) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    if abs(r) < 1 - 1e-9:
        assert pearson_p(r, len(x)) == pytest.approx(wanted.pvalue, abs=1e-9)
        assert fisher_interval(r, len(x)) == pytest.approx(tuple(wanted.confidence_interval()), abs=1e-9)


def test_what_has_too_few_points_is_refused():
    two = torch.tensor([0.0, 1.0])
    for refused in (lambda: pearson_p(0.5, 2), lambda: spearman_p(two, two)):
        with pytest.raises(DataError, match="found 2 points"):
            refused()
