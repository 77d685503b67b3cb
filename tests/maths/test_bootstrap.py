"""Drawing units again."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.bootstrap import bootstrap, by_cluster, totals


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_of(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    return torch.stack([values, torch.ones_like(values)], 1)


def naive_totals(rows, draws, seed):
    """Pick as many units as there are, one draw after another, and add them up."""
    g, out = generator(seed), []
    picks = torch.randint(len(rows), (draws, len(rows)), generator=g)
    for draw in picks:
        total = [0.0] * len(rows[0])
        for unit in draw:
            total = [t + float(v) for t, v in zip(total, rows[unit], strict=True)]
        out.append(total)
    return torch.tensor(out, dtype=torch.float64)


@settings(max_examples=20)
@given(units=st.integers(1, 9), columns=st.integers(1, 3), draws=st.integers(1, 12), seed=st.integers(0, 99))
def test_totals_equal_the_loop(units, columns, draws, seed):
    rows = torch.randn(units, columns, generator=generator(seed), dtype=torch.float64)
    found = totals(rows, draws=draws, generator=generator(seed))
    torch.testing.assert_close(found, naive_totals(rows, draws, seed), rtol=1e-12, atol=1e-12)


def test_many_units_are_drawn_in_pieces(monkeypatch):
    monkeypatch.setattr("penjing.maths.bootstrap._CHUNK_VALUES", 30)
    found = totals(rows_of(torch.arange(10)), draws=25, generator=generator())
    assert found.shape == (25, 2)
    assert (found[:, 1] == 10).all()


def naive_bca(values, draws, level):
    """Efron's formulas, word by word, on given draws of the mean."""
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    value, n = sum(values) / len(values), len(values)
    below = sum(1.0 if d < value else 0.5 if d == value else 0.0 for d in draws) / len(draws)
    bias = float(normal.icdf(torch.tensor(below, dtype=torch.float64)))
    left = [(sum(values) - v) / (n - 1) for v in values]
    middle = sum(left) / n
    pull = sum((middle - v) ** 3 for v in left) / (6 * sum((middle - v) ** 2 for v in left) ** 1.5)
    ends = []
    for share, up in (((1 - level) / 2, False), ((1 + level) / 2, True)):
        z = bias + float(normal.icdf(torch.tensor(share, dtype=torch.float64)))
        place = float(normal.cdf(torch.tensor(bias + z / (1 - pull * z), dtype=torch.float64))) * (len(draws) - 1)
        ends.append(sorted(draws)[math.ceil(place) if up else math.floor(place)])
    return tuple(ends)


@settings(max_examples=20)
@given(units=st.integers(3, 20), seed=st.integers(0, 99), level=st.sampled_from([0.8, 0.95]))
def test_the_interval_equals_the_formulas(units, seed, level):
    values = torch.rand(units, generator=generator(seed), dtype=torch.float64).exp()
    found = bootstrap(rows_of(values), mean, generator=generator(seed), draws=300)
    assert found.interval(level) == pytest.approx(naive_bca(values.tolist(), found.draws.tolist(), level), rel=1e-12)


@settings(max_examples=20)
@given(units=st.integers(3, 20), seed=st.integers(0, 99))
def test_the_interval_is_that_of_scipy_outwards_to_the_next_draw(units, seed):
    import numpy as np
    from scipy import stats

    values = torch.rand(units, generator=generator(seed), dtype=torch.float64).exp()
    found = bootstrap(rows_of(values), mean, generator=generator(seed), draws=300)
    given = stats.bootstrap((values.numpy(),), np.mean, n_resamples=2, method="percentile")
    given.bootstrap_distribution = found.draws.numpy()
    wanted = stats.bootstrap((values.numpy(),), np.mean, n_resamples=0, bootstrap_result=given).confidence_interval
    (low, high), ordered = found.interval(), found.draws.sort().values
    within = ordered[(ordered > low + 1e-12) & (ordered < high - 1e-12)]
    assert low - 1e-12 <= wanted.low <= float(within[0]) + 1e-12
    assert float(within[-1]) - 1e-12 <= wanted.high <= high + 1e-12


@settings(max_examples=20)
@given(units=st.integers(5, 30), seed=st.integers(0, 99), null=st.floats(-0.5, 0.5))
def test_p_is_below_alpha_where_the_interval_leaves_the_null_out(units, seed, null):
    values = torch.randn(units, generator=generator(seed), dtype=torch.float64)
    found = bootstrap(rows_of(values), mean, generator=generator(seed), draws=2000)
    for level in (0.5, 0.9, 0.95):
        low, high = found.interval(level)
        # at the very edge one draw more or less decides
        if min(abs(low - null), abs(high - null)) > 0.02:
            assert (found.p(null) < 1 - level) == (not low <= null <= high)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_the_interval_covers_the_truth_as_often_as_it_says(draw):
    g, hits = generator(3), 0
    for i in range(200):
        values = torch.randn(40, generator=g) if draw == "normal" else -torch.rand(40, generator=g).log() - 1
        low, high = bootstrap(rows_of(values), mean, generator=generator(i), draws=600).interval()
        hits += low <= 0 <= high
    # 200 tries have a standard error of 1.5 %; 40 units make a bootstrap a few percent too narrow
    assert 0.88 <= hits / 200 <= 0.99


def test_p_is_uniform_when_there_is_nothing():
    g = generator(5)
    values = [
        bootstrap(rows_of(torch.randn(40, generator=g)), mean, generator=generator(i), draws=500).p()
        for i in range(200)
    ]
    for alpha in (0.05, 0.25, 0.5):
        share = sum(p < alpha for p in values) / 200
        assert abs(share - alpha) < 0.025 + 3 * math.sqrt(alpha * (1 - alpha) / 200)


def test_no_difference_at_all_has_p_1_and_an_empty_interval():
    found = bootstrap(rows_of([0.1] * 7), lambda s: mean(s) - 0.1, generator=generator())
    assert found.p() == 1
    assert found.interval() == pytest.approx((0, 0), abs=1e-12)


def test_a_clear_difference_has_the_smallest_p_that_the_draws_can_show():
    found = bootstrap(rows_of(torch.rand(50, generator=generator()) + 5), mean, generator=generator(), draws=999)
    assert found.p() == pytest.approx(2 / 1000)


def test_a_figure_that_is_infinite_in_some_draws_still_has_bounds():
    found = bootstrap(rows_of([1.0, 2.0, 3.0]), lambda s: 1 / (s[..., 0] - 3).clamp_min(0), generator=generator())
    low, high = found.interval()
    assert low <= found.value
    assert high == math.inf


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_clusters_equal_the_loop(clusters):
    rows = torch.arange(2.0 * len(clusters)).reshape(-1, 2)
    expected = {}
    for name, row in zip(clusters, rows, strict=True):
        expected[name] = expected.get(name, 0) + row
    assert torch.equal(by_cluster(rows, clusters), torch.stack(list(expected.values())))


def test_units_of_one_cluster_widen_the_interval():
    values = torch.randn(20, generator=generator()).repeat_interleave(10)
    rows = rows_of(values)
    one = bootstrap(rows, mean, generator=generator(), draws=2000).interval()
    many = bootstrap(
        by_cluster(rows, [i // 10 for i in range(200)]), mean, generator=generator(), draws=2000
    ).interval()
    # ten copies of each carry the information of one: the interval is sqrt(10) times as wide
    assert (many[1] - many[0]) / (one[1] - one[0]) == pytest.approx(10**0.5, rel=0.15)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(DataError, match="found 1 units"):
        bootstrap(rows_of([1.0]), mean, generator=generator())
    with pytest.raises(DataError, match="not a number"):
        bootstrap(rows_of([0.0, 0.0, 1.0]), lambda s: s[..., 0] / s[..., 0], generator=generator())
    with pytest.raises(DataError, match="found 2 clusters for 3 units"):
        by_cluster(torch.zeros(3, 1), ["a", "b"])
