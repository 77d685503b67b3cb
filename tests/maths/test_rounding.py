"""Sizes that hardware likes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import BudgetError
from penjing.maths.rounding import liked, smallest, to_multiple


def naive(wanted: float, multiple: int, full: int, least: int) -> int:
    """Of all allowed sizes the nearest, the larger of two equally near."""
    allowed = [n for n in range(1, full + 1) if (n % multiple == 0 and n >= least) or n == full]
    return min(allowed, key=lambda n: (abs(n - wanted), -n))


@given(
    wanted=st.integers(0, 240).map(lambda n: n / 2),
    multiple=st.integers(1, 20),
    full=st.integers(1, 100),
    least=st.integers(1, 5),
)
def test_equals_the_loop_and_stays_in_range(wanted, multiple, full, least):
    found = to_multiple(wanted, multiple, full=full, least=min(least, full))
    assert found == naive(wanted, multiple, full, min(least, full))
    assert smallest(multiple, full=full, least=min(least, full)) <= found <= full


@given(multiple=st.integers(1, 20), full=st.integers(1, 100))
def test_never_falls_when_more_is_wanted(multiple, full):
    sizes = [to_multiple(w / 2, multiple, full=full) for w in range(2 * full + 1)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("size", "multiple"), [(1536, 64), (512, 64), (511, 32), (160, 16), (64, 8), (63, 1), (1, 1)])
def test_liked_is_at_most_an_eighth(size, multiple):
    assert liked(size) == multiple


def test_a_multiple_below_one_is_refused():
    with pytest.raises(BudgetError, match="multiples of 0"):
        to_multiple(3, 0, full=6)
