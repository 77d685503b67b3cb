"""Tucker's projections of a kernel against sums entry by entry, and against the best of each side alone."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.maths.tucker import numbers, ranks_for, tucker

SIZE = st.integers(1, 7)


def naive(found):
    """[out in window]: each entry as the sum over both ranks."""
    (out, r), (s, into), window = found.last.shape, found.first.shape, found.core.shape[2]
    made = torch.zeros(out, into, window, dtype=torch.float64)
    for o, i, w in itertools.product(range(out), range(into), range(window)):
        for a, b in itertools.product(range(r), range(s)):
            made[o, i, w] += float(found.last[o, a]) * float(found.core[a, b, w]) * float(found.first[b, i])
    return made


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(out=SIZE, into=SIZE, window=st.sampled_from([1, 3, 5]), seed=st.integers(0, 9), data=st.data())
def test_the_error_is_that_of_the_sum_and_sweeps_never_raise_it(out, into, window, seed, data):
    ranks = data.draw(st.integers(1, out)), data.draw(st.integers(1, into))
    kernel = drawn(out, into, window, seed=seed)
    errors = []
    for sweeps in (0, 1, 4):
        found = tucker(kernel, *ranks, sweeps)
        errors.append(float((kernel - naive(found)).norm()))
        assert found.error == pytest.approx(errors[-1], rel=1e-4, abs=1e-5)
        assert found.whole == pytest.approx(float(kernel.norm()))
    assert errors[0] + 1e-5 >= errors[1] >= errors[2] - 1e-5
    for dim, rank in ((0, ranks[0]), (1, ranks[1])):  # neither side can be better than the best of it alone
        values = torch.linalg.svdvals(kernel.movedim(dim, 0).flatten(1))
        assert errors[-1] >= float(values[rank:].square().sum().sqrt()) - 1e-5


@given(out=SIZE, into=SIZE)
def test_all_directions_are_the_kernel(out, into):
    kernel = drawn(out, into, 3)
    torch.testing.assert_close(naive(tucker(kernel, out, into, 1)), kernel, rtol=1e-4, atol=1e-5)


def test_without_a_window_it_is_the_truncated_singular_values():
    matrix = drawn(6, 5, 1)
    values = torch.linalg.svdvals(matrix[..., 0])
    assert tucker(matrix, 3, 3, 20).error == pytest.approx(float(values[3:].square().sum().sqrt()), rel=1e-4)


@given(share=st.floats(0.01, 1.0), out=st.integers(1, 60), into=st.integers(1, 60), window=st.sampled_from([1, 9, 25]))
def test_ranks_have_at_most_their_share_of_numbers(share, out, into, window):
    ranks = ranks_for(share, out, into, window)
    assert ranks == (1, 1) or numbers(out, into, window, ranks) <= share * out * into * window + 1e-6
    assert 1 <= ranks[0] <= out
    assert 1 <= ranks[1] <= into
