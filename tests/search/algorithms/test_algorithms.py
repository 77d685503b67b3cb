"""What every search algorithm must do, the one in a file that was added a minute ago included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.search.algorithm import Told, search
from penjing.search.algorithms import ALGORITHMS

SPACE = {"keep": (0.0, 1.0)}
NAMES = ALGORITHMS.names()


def trial(edge, log=None):
    """Shares of at least `edge` will do; the figure falls with the share."""

    def attempt(point):
        told = Told(point=point, figure=1 - point["keep"], holds=point["keep"] >= edge)
        if log is not None:
            log.append(told)
        return told, point["keep"]

    return attempt


@pytest.mark.parametrize("name", NAMES)
@given(edge=st.floats(0.0, 1.0))
def test_it_comes_to_an_end_within_the_space_and_takes_one_that_will_do(name, edge):
    log = []
    found = search(ALGORITHMS.build(name), SPACE, trial(edge, log))
    assert 0 < len(log) < 1000
    assert all(0 <= t.point["keep"] <= 1 for t in log)
    assert log[found.taken].holds or not any(t.holds for t in log)
    assert found.results[found.taken] == log[found.taken].point["keep"]


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(name):
    log = []
    search(ALGORITHMS.build(name), SPACE, trial(0.4, log))
    for done in range(len(log)):
        assert ALGORITHMS.build(name).ask(SPACE, log[:done]) == log[done].point


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_tried_is_not_taken_where_something_can(name):
    def attempt(point):
        figure = None if point["keep"] < 0.6 else point["keep"]
        return Told(point=point, figure=figure, holds=False), figure

    found = search(ALGORITHMS.build(name), SPACE, attempt)
    assert found.results[found.taken] is not None


def test_random_points_fill_a_space_of_any_number_of_coordinates():
    space = {"a": (2.0, 3.0), "b": (-1.0, 0.0)}
    points = []
    search(
        ALGORITHMS.build("random", {"tries": 50}), space,
        lambda p: (Told(point=p, figure=p["a"] + p["b"], holds=True), points.append(p)),
    )  # fmt: skip
    assert len(points) == 50
    for name, (low, high) in space.items():
        values = [p[name] for p in points]
        assert low <= min(values) < low + 0.2
        assert high - 0.2 < max(values) <= high
