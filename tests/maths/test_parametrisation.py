"""Which ways to scale a network with its width are stable, and which learn features."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import RequestError
from penjing.maths.parametrisation import Abc, classify, named

exponents = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])


@pytest.mark.parametrize("hidden", [1, 2, 5])
@pytest.mark.parametrize(
    ("name", "r", "regime"),
    [
        ("mup", 0.0, "feature learning"),
        ("ntk", 0.5, "kernel"),
        ("standard with a small rate", 0.5, "kernel"),
        ("standard", None, "unstable"),
    ],
)
def test_the_papers_own_table(name, hidden, r, regime):
    found = classify(named(name, hidden))
    assert found.regime == regime
    if name == "standard with a small rate" and hidden == 1:
        r = 1.5  # without a layer between two of width n, nothing but the input's layer holds the change back
    assert r is None or found.r == pytest.approx(r)


def test_the_standard_one_fails_where_the_paper_says():
    assert "the output's change by the last layer" in classify(named("standard")).failed


def test_the_mean_field_one_is_mup_written_otherwise():
    mean_field = Abc(a=(0.0, 1.0), b=(0.0, 0.0), c=-1.0)
    assert mean_field == named("mup", 1).shifted(0.5)
    assert classify(mean_field).regime == "feature learning"


@given(
    ab=st.lists(st.tuples(exponents, exponents), min_size=2, max_size=4), c=exponents,
    by=st.sampled_from([-1.0, -0.5, 0.5, 2.0]),
)  # fmt: skip
def test_writing_it_otherwise_changes_nothing(ab, c, by):
    abc = Abc(a=tuple(a for a, _ in ab), b=tuple(b for _, b in ab), c=c)
    one, other = classify(abc), classify(abc.shifted(by))
    assert other.r == pytest.approx(one.r)
    assert (other.regime, other.failed) == (one.regime, one.failed)


@given(ab=st.lists(st.tuples(exponents, exponents), min_size=2, max_size=4), c=exponents)
def test_each_condition_is_that_of_the_theorem(ab, c):
    a, b = [x for x, _ in ab], [y for _, y in ab]
    last = len(a) - 1
    r = min(a[last] + b[last], 2 * a[last] + c) + c - 1 + min(2 * a[i] + (1 if i == 0 else 0) for i in range(last))
    stable = (
        a[0] + b[0] == 0 and all(a[i] + b[i] == 0.5 for i in range(1, last)) and a[last] + b[last] >= 0.5 and r >= 0
        and 2 * a[last] + c >= 1 and a[last] + b[last] + r >= 1
    )  # fmt: skip
    moves = 2 * a[last] + c == 1 or a[last] + b[last] + r == 1
    wanted = "unstable" if not stable else "trivial" if not moves else "feature learning" if r == 0 else "kernel"
    assert classify(Abc(a=tuple(a), b=tuple(b), c=c)).regime == wanted


def test_a_table_that_does_not_fit_is_refused():
    with pytest.raises(RequestError, match="found 2 a and 3 b"):
        Abc(a=(0, 0), b=(0, 0, 0), c=0)
    with pytest.raises(RequestError, match="needed one of standard"):
        named("umup")
