"""The best few."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import BudgetError, DataError
from penjing.maths.topk import best


def naive(scores: list[float], count: int) -> tuple[int, ...]:
    """Take the highest, the first of equals, one at a time."""
    left = dict(enumerate(scores))
    taken = []
    for _ in range(count):
        top = max(left.values())
        place = min(i for i, s in left.items() if s == top)
        taken.append(place)
        del left[place]
    return tuple(sorted(taken))


@given(scores=st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, float("inf")]), min_size=1, max_size=40), data=st.data())
def test_equals_the_loop_with_ties(scores, data):
    count = data.draw(st.integers(1, len(scores)))
    assert best(torch.tensor(scores), count) == naive(scores, count)


def test_nan_is_refused_with_its_place():
    with pytest.raises(DataError, match="unit 1 is not a number"):
        best(torch.tensor([0.0, float("nan")]), 1)


@pytest.mark.parametrize("count", [0, 3, -1])
def test_impossible_counts_are_refused(count):
    with pytest.raises(BudgetError, match=f"{count} of 2 units"):
        best(torch.tensor([0.0, 1.0]), count)
