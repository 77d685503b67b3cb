"""Shares are tried on a grid and between; nothing is taken to be monotonic."""

from hypothesis import given
from hypothesis import strategies as st

from penjing.core import Plan
from penjing.search.algorithm import GRID
from penjing.search.over_keep import Try, over_keep, uneven


def smallest(attempt, limit):
    return over_keep(attempt, limit, by="smallest")


def largest(attempt, limit):
    return over_keep(attempt, limit, by="largest")


def trying(figure, asked=None):
    def attempt(keep):
        if asked is not None:
            asked.append(keep)
        found = figure(keep)
        return Try(keep=keep, plan=Plan(), figure=found) if found is not None else Try(keep=keep, why="too few units")

    return attempt


@given(edge=st.floats(0.02, 0.99))
def test_the_smallest_that_holds_is_found_to_within_a_hundredth(edge):
    found = smallest(trying(lambda keep: 1 - keep), 1 - edge)
    best = found[-1]
    assert best.keep >= edge or not best.holds(1 - edge)
    if best.holds(1 - edge):
        assert best.keep - edge <= 0.01


@given(edge=st.floats(0.13, 0.99))
def test_the_largest_that_holds_is_found_to_within_a_hundredth(edge):
    best = largest(trying(lambda keep: keep), edge)[-1]
    assert best.holds(edge)
    assert edge - best.keep <= 0.01


def test_every_share_of_the_grid_is_tried_for_the_smallest():
    asked = []
    bumpy = dict.fromkeys(GRID, 1.0) | {0.25: 0.0}
    found = smallest(trying(lambda keep: bumpy.get(keep, 1.0), asked), 0.5)
    assert set(GRID) <= set(asked)
    assert found[-1].keep == 0.25


def test_the_largest_is_sought_from_above_and_no_further():
    asked = []
    largest(trying(lambda keep: keep, asked), 0.7)
    assert min(asked) == 0.625


def test_where_none_holds_the_nearest_comes_back_and_does_not_hold():
    for search in (smallest, largest):
        best = search(trying(lambda keep: 2.0 + keep), 1.0)[-1]
        assert not best.holds(1.0)
        assert best.figure is not None


def test_a_share_without_a_plan_does_not_hold():
    found = smallest(trying(lambda keep: 0.0 if keep > 0.3 else None), 1.0)
    assert 0.3 < found[-1].keep <= 0.32
    assert {t.why for t in found if t.keep < 0.3} == {"too few units"}


def test_each_share_is_tried_once():
    asked = []
    smallest(trying(lambda keep: 1 - keep, asked), 0.4)
    assert len(asked) == len(set(asked))


def test_unevenness_is_the_first_pair_that_goes_the_other_way():
    tries = [Try(keep=k, plan=Plan(), figure=f) for k, f in ((0.75, 0.2), (0.5, 0.1), (0.25, 0.4))]
    assert [t.keep for t in uneven(tries, rising=False)] == [0.75, 0.5]
    assert [t.keep for t in uneven(tries, rising=True)] == [0.5, 0.25]
    assert uneven(tries[1:], rising=False) is None
