"""Similarity of representations."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths import cka
from penjing.maths.cka import alignment, alignments, dependence, linear_cka, moments

shapes = {"samples": st.integers(5, 12), "p": st.integers(1, 5), "q": st.integers(1, 5), "seed": st.integers(0, 99)}


def pair(samples, p, q, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, p, generator=g, dtype=torch.float64)
    return x, torch.randn(samples, q, generator=g, dtype=torch.float64) + x[:, :1] + 3


def naive_plain(x, y):
    """tr(K H L H) / (n - 1)^2 with all tables written out."""
    n = len(x)
    h = torch.eye(n, dtype=torch.float64) - 1 / n
    return float(torch.trace(x @ x.T @ h @ y @ y.T @ h)) / (n - 1) ** 2


def naive_unbiased(x, y):
    """Song et al., equation 5, with the diagonals taken out of both tables."""
    n, one = len(x), torch.ones(len(x), dtype=torch.float64)
    k, m = x @ x.T, y @ y.T
    k, m = k - torch.diag(k.diagonal()), m - torch.diag(m.diagonal())
    first = torch.trace(k @ m)
    second = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    third = 2 / (n - 2) * (one @ k @ m @ one)
    return float(first + second - third) / (n * (n - 3))


@settings(max_examples=40)
@given(**shapes)
def test_equals_the_tables(samples, p, q, seed):
    x, y = pair(samples, p, q, seed)
    m = moments(x, y)
    # sums of products of some hundred values, with a mean of 3
    assert dependence(m, unbiased=False) == pytest.approx(naive_plain(x, y), rel=1e-7, abs=1e-9)
    assert dependence(m) == pytest.approx(naive_unbiased(x, y), rel=1e-7, abs=1e-7)


@settings(max_examples=20)
@given(**shapes, cut=st.integers(1, 4))
def test_batches_add_up(samples, p, q, seed, cut):
    x, y = pair(samples, p, q, seed)
    whole, parts = moments(x, y), moments(x[:cut], y[:cut]) + moments(x[cut:], y[cut:])
    for unbiased in (False, True):
        assert dependence(parts, unbiased=unbiased) == pytest.approx(dependence(whole, unbiased=unbiased), rel=1e-9)


@settings(max_examples=20)
@given(**shapes)
def test_rotation_scale_and_shift_change_nothing(samples, p, q, seed):
    x, y = pair(samples, p, q, seed)
    turn = torch.linalg.qr(torch.randn(p, p, dtype=torch.float64))[0]
    for unbiased in (False, True):
        before = linear_cka(x, y, unbiased=unbiased)
        assert linear_cka(5 * x @ turn + 2, y, unbiased=unbiased) == pytest.approx(before, rel=1e-6, abs=1e-6)
        if not math.isnan(before):
            assert linear_cka(x, -2 * x @ turn, unbiased=unbiased) == pytest.approx(1)


@settings(max_examples=30)
@given(
    samples=st.integers(5, 12), widths=st.lists(st.integers(1, 5), min_size=2, max_size=5), cut=st.integers(1, 4),
    rows=st.integers(1, 13), seed=st.integers(0, 99), unbiased=st.booleans(),
)  # fmt: skip
def test_all_pairs_at_once_equal_the_tables(samples, widths, cut, rows, seed, unbiased):
    g = torch.Generator().manual_seed(seed)
    every = [torch.randn(samples, w, generator=g, dtype=torch.float64) + 3 for w in widths]
    cut = min(cut, len(every) - 1)
    xs, ys = every[:cut], every[cut:]
    naive = naive_unbiased if unbiased else naive_plain
    for form in (cka._by_tables, cka._by_sums):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cka, "ROWS", rows)
            between, own = form(xs, ys, unbiased)
        assert between == [[pytest.approx(naive(x, y), rel=1e-7, abs=1e-7) for y in ys] for x in xs]
        assert own == [pytest.approx(naive(t, t), rel=1e-7, abs=1e-7) for t in every]
    for i, x in enumerate(xs):
        for j, y in enumerate(ys):
            expected = linear_cka(x, y, unbiased=unbiased)
            assert alignments(xs, ys, unbiased=unbiased)[i][j] == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_what_does_not_vary_has_no_alignment():
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    assert math.isnan(alignments([x], [torch.ones(6, 3)])[0][0])


def test_other_samples_are_refused():
    with pytest.raises(DataError, match="found 5, 6 samples"):
        alignments([torch.zeros(5, 2)], [torch.zeros(6, 2)])
    for unbiased, few in ((True, 3), (False, 1)):
        with pytest.raises(DataError, match=f"found {few} samples"):
            alignments([torch.zeros(few, 2)], [torch.zeros(few, 2)], unbiased=unbiased)


def test_unrelated_states_are_at_0_only_without_bias():
    g = torch.Generator().manual_seed(0)
    found = [
        [
            linear_cka(torch.randn(40, 30, generator=g), torch.randn(40, 30, generator=g), unbiased=u)
            for u in (True, False)
        ]
        for _ in range(30)
    ]
    unbiased, plain = torch.tensor(found).mean(0).tolist()
    assert abs(unbiased) < 0.02
    assert plain > 0.35


def test_states_that_do_not_vary_have_no_similarity():
    x = torch.ones(6, 3)
    assert math.isnan(linear_cka(x, torch.randn(6, 2)))


def test_too_few_or_unequal_samples_are_refused():
    with pytest.raises(DataError, match="found 3 samples of one and 2"):
        moments(torch.zeros(3, 1), torch.zeros(2, 1))
    m = moments(torch.randn(3, 2), torch.randn(3, 2))
    with pytest.raises(DataError, match="at least 4"):
        alignment(m, m, m)
