"""The search under a bound against the paper's loop, and what it promises of any figure."""

from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core import Axis
from penjing.errors import BudgetError, DataError
from penjing.select.loss_bounded import Searched, least_sizes, meet, search


def axes_of(sizes, least=1):
    return [Axis(name=f"neurons.{i}", size=n, state="free", least=least) for i, n in enumerate(sizes)]


def figure_of(axes, weights, offset=0.0):
    """Grows with the square of what goes of each axis, and with products of neighbours."""

    def value(at):
        gone = [1 - at.get(a.name, a.size) / a.size for a in axes]
        joined = sum(x * y for x, y in pairwise(gone))
        return offset + sum(w * g**2 for w, g in zip(weights, gone, strict=True)) + 0.3 * joined

    return value


def naive(axes, value, bound, steps, signed):
    """Part C of the paper's algorithm, with a size of 0 passed over."""
    kept = {}
    before = value({})
    for axis in axes:
        low, high, best, after = 0, axis.size, axis.size, before
        for _ in range(steps):
            middle = (low + high) // 2
            if middle == 0 or middle == low:
                continue
            loss = value({**kept, axis.name: middle})
            change = loss - before if signed else abs(loss - before)
            if change <= bound:
                high, best, after = middle, middle, loss
            else:
                low = middle
        kept[axis.name], before = best, after
    return kept


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=4), bound=st.floats(-0.2, 1.0), steps=st.integers(1, 7),
    signed=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_equals_the_loop(sizes, bound, steps, signed, seed):
    axes = axes_of(sizes)
    weights = [((seed * 7 + 3 * i) % 11 - 3) / 4 for i in range(len(sizes))]
    value = figure_of(axes, weights)
    found = search(axes, value, bound=bound, steps=steps, signed=signed)
    assert found.sizes == naive(axes, value, bound, steps, signed)
    assert list(found.after.values())[-1] == pytest.approx(value(found.sizes))


def test_no_bound_takes_every_axis_to_a_64th_and_none_is_met_by_no_cut():
    axes = axes_of([256, 640])
    value = figure_of(axes, [1.0, 1.0])
    assert search(axes, value, bound=inf).sizes == {"neurons.0": 4, "neurons.1": 10}
    assert search(axes, value, bound=-inf).sizes == {"neurons.0": 256, "neurons.1": 640}


def test_a_looser_bound_keeps_fewer_and_the_axis_that_matters_keeps_more():
    axes = axes_of([128, 128])
    value = figure_of(axes, [4.0, 0.1])
    tight, loose = (search(axes, value, bound=b).sizes for b in (0.02, 0.2))
    assert sum(loose.values()) < sum(tight.values())
    assert tight["neurons.0"] > tight["neurons.1"]


def test_the_total_holds_where_the_bounds_of_the_axes_add_up_to_more():
    axes = axes_of([64] * 4)
    value = figure_of(axes, [1.0] * 4, offset=3.0)
    free, held = search(axes, value, bound=0.2), search(axes, value, bound=0.2, total=0.3)
    assert value(free.sizes) - 3.0 > 0.3 >= value(held.sizes) - 3.0
    assert all(b - a <= 0.2 for a, b in pairwise([held.start, *held.after.values()]))


def test_a_figure_that_falls_passes_only_when_signed():
    axes = axes_of([64])
    value = figure_of(axes, [-1.0])
    assert search(axes, value, bound=0.0).sizes == {"neurons.0": 1}
    assert search(axes, value, bound=0.0, signed=False).sizes == {"neurons.0": 64}


def test_a_size_that_gives_no_number_does_not_serve():
    axes = axes_of([64])
    found = search(axes, lambda at: nan if at.get("neurons.0", 64) < 30 else 0.0, bound=inf)
    assert 30 <= found.sizes["neurons.0"] <= 32


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 90), multiple=st.integers(1, 16), least=st.integers(1, 20), bound=st.floats(0.0, 1.0))
def test_sizes_are_multiples_or_whole_and_never_too_small(size, multiple, least, bound):
    axes = [Axis(name="neurons.0", size=size, state="free", least=min(least, size))]
    multiples = {"neurons.0": multiple}
    found = search(axes, figure_of(axes, [1.0]), bound=bound, multiples=multiples).sizes["neurons.0"]
    assert found == size or found % multiple == 0
    assert least_sizes(axes, multiples)["neurons.0"] <= found <= size


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(20, 90), min_size=1, max_size=4), keep=st.floats(0.15, 1.0), seed=st.integers(0, 99))
def test_a_budget_is_met_and_little_is_given_away(sizes, keep, seed):
    axes = axes_of(sizes)
    value = figure_of(axes, [0.1 + (seed * 5 + i) % 7 for i in range(len(sizes))])
    limit = max(len(sizes), round(keep * sum(sizes)))
    found = meet(axes, lambda b: search(axes, value, bound=b), lambda at: sum(at.values()) <= limit)
    assert limit - len(sizes) <= sum(found.sizes.values()) <= limit


def test_a_budget_that_keeps_everything_cuts_nothing():
    axes = axes_of([30, 40])
    value = figure_of(axes, [1.0, 1.0])
    found = meet(axes, lambda b: search(axes, value, bound=b), lambda at: True)
    assert (found.sizes, found.bound) == ({"neurons.0": 30, "neurons.1": 40}, 0.0)


def test_what_cannot_be_met_is_refused():
    axes = axes_of([64, 64])
    value = figure_of(axes, [1.0, 1.0])

    def run(bound: float) -> Searched:
        return search(axes, value, bound=bound, steps=2)

    with pytest.raises(BudgetError, match=r"without any bound leaves 0\.250"):
        meet(axes, run, lambda at: sum(at.values()) <= 8)
    with pytest.raises(BudgetError, match=r"a bound of 0\.01 for each axis"):
        meet(axes, run, lambda at: sum(at.values()) <= 64, most=0.01)
    with pytest.raises(BudgetError, match="0 steps"):
        search(axes, value, bound=1.0, steps=0)
    with pytest.raises(DataError, match="gives nan before anything is cut"):
        search(axes, lambda at: nan, bound=1.0)
