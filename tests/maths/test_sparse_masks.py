"""Masks of so many weights, held to sorting one row at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import BudgetError, DataError
from penjing.maths.sparse_masks import best_of_all, best_of_groups, best_of_rows, zeros_of


def naive_row(scores, zeros):
    gone = sorted(range(len(scores)), key=lambda i: (scores[i], i))[:zeros]
    return [i not in gone for i in range(len(scores))]


def drawn(rows, columns, seed):
    """Small whole numbers, so that ties are many."""
    return torch.randint(0, 5, (rows, columns), generator=torch.Generator().manual_seed(seed)).float()


@settings(max_examples=25)
@given(rows=st.integers(1, 5), columns=st.integers(1, 9), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_rows_and_everything_lose_the_lowest_and_the_first_of_equal_ones(rows, columns, share, seed):
    scores = drawn(rows, columns, seed)
    zeros = int(share * columns)
    assert best_of_rows(scores, zeros).tolist() == [naive_row(r, zeros) for r in scores.tolist()]
    zeros = int(share * scores.numel())
    assert best_of_all(scores, zeros).flatten().tolist() == naive_row(scores.flatten().tolist(), zeros)


@settings(max_examples=25)
@given(rows=st.integers(1, 4), groups=st.integers(1, 4), of=st.integers(1, 5), seed=st.integers(0, 99))
def test_every_group_keeps_exactly_so_many(rows, groups, of, seed):
    scores = drawn(rows, groups * of, seed)
    stay = 1 + seed % of
    kept = best_of_groups(scores, stay, of)
    for r in range(rows):
        for g in range(groups):
            part = slice(g * of, (g + 1) * of)
            assert kept[r, part].tolist() == naive_row(scores[r, part].tolist(), of - stay)


def test_a_density_is_not_spoilt_by_rounding():
    assert [zeros_of(10, k / 10) for k in range(1, 11)] == list(range(9, -1, -1))


def test_refuses_what_cannot_be_compared_or_divided():
    with pytest.raises(DataError, match="not a number"):
        best_of_rows(torch.tensor([[1.0, float("nan")]]), 1)
    with pytest.raises(BudgetError, match="5 inputs are no multiple of 4"):
        best_of_groups(torch.ones(2, 5), 2, 4)
    with pytest.raises(BudgetError):
        best_of_rows(torch.ones(2, 5), 6)
    with pytest.raises(BudgetError):
        best_of_all(torch.ones(2, 5), 11)
