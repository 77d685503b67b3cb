import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.data import ChoiceItem, ScoredItem
from penjing.errors import DataError, MeasureError
from penjing.tasks.choices.grades import Scored, accuracy, best, chance, margin, mean_with_error
from penjing.tasks.kinds.truthfulqa import truth_share


def scored(values, answer=0, lengths=None, alone=(), **extra):
    choices = tuple(lengths or (f"c{i}" for i in range(len(values))))
    item = ChoiceItem(id=str(values), question="?", choices=choices, answer=answer, extra=extra)
    return Scored(item, tuple(values), choices, tuple(alone))


def test_length_turns_the_choice():
    """acc takes the short choice, acc_norm (per character) the long one, acc_bytes the one of many bytes."""
    one = scored([-4.0, -5.0, -5.5], answer=1, lengths=["ab", "abcdefgh", "éééé ñ"])
    got = {m: accuracy([one], m, name="t", protocol="").items["choice"][0] for m in ("acc", "acc_norm", "acc_bytes")}
    assert got == {"acc": 0, "acc_norm": 1, "acc_bytes": 2 if 5.5 / 11 < 5 / 8 else 1}


def test_characters_are_not_bytes():
    one = scored([-4.0, -4.5], lengths=["abcde", "ééééé"], answer=1)
    assert accuracy([one], "acc_norm", name="t", protocol="").value == 0
    assert accuracy([one], "acc_bytes", name="t", protocol="").value == 1


def test_mutual_information_takes_off_what_a_choice_is_worth_alone():
    one = scored([-4.0, -5.0], answer=1, alone=[-1.0, -6.0])
    assert accuracy([one], "acc", name="t", protocol="").value == 0
    assert accuracy([one], "acc_mutual_info", name="t", protocol="").value == 1
    with pytest.raises(MeasureError, match="not measured alone"):
        accuracy([scored([-1.0, -2.0])], "acc_mutual_info", name="t", protocol="")


@given(values=st.lists(st.sampled_from([-3.0, -2.0, -1.0]), min_size=1, max_size=6))
def test_ties_go_to_the_first(values):
    assert best(values) == values.index(max(values))


@given(right=st.integers(0, 30), wrong=st.integers(0, 30))
def test_the_error_is_that_of_a_share(right, wrong):
    n = right + wrong
    if not n:
        with pytest.raises(MeasureError, match="no items"):
            mean_with_error([])
        return
    value, error = mean_with_error([1.0] * right + [0.0] * wrong)
    p = right / n
    assert value == pytest.approx(p)
    assert error is None if n == 1 else error == pytest.approx(math.sqrt(p * (1 - p) / (n - 1)), abs=1e-12)


def test_chance_is_the_mean_of_one_by_the_number_of_choices():
    items = [scored([0.0] * n).item for n in (2, 4, 5)]
    assert chance(items) == pytest.approx((1 / 2 + 1 / 4 + 1 / 5) / 3)
    several = ScoredItem(id="1", question="?", choices=("a", "b", "c"), scores=(1.0, 1.0, 0.0))
    assert chance([several]) == pytest.approx(2 / 3)


def test_the_margin_is_signed():
    assert margin([-1.0, -3.0, -2.0], [1, 0, 0]) == 1.0
    assert margin([-1.0, -3.0, -2.0], [0, 1, 0]) == -2.0
    assert margin([-1.0, -3.0, -2.0], [0, 1, 1]) == -1.0
    assert margin([-1.0, -3.0], [1, 1]) == 0.0


def test_groups_are_averaged_too():
    rows = [scored([0.0, -1.0], group="a"), scored([0.0, -1.1], group="a"), scored([0.0, -1.2], answer=1, group="b")]
    details = accuracy(rows, "acc", name="t", protocol="").details
    assert details["macro"] == pytest.approx(0.5)
    assert details["groups"]["a"] == {"value": 1.0, "error": 0.0, "n": 2, "chance": 0.5}
    assert details["groups"]["b"]["error"] is None


def test_one_item_has_no_error_and_says_so():
    found = accuracy([scored([0.0, -1.0])], "acc", name="t", protocol="p")
    assert found.spread is None
    assert "one item only" in found.note


def test_an_empty_choice_has_no_length():
    with pytest.raises(MeasureError, match="has an empty choice, whose length is 0"):
        accuracy([scored([0.0, -1.0], lengths=["", "a"])], "acc_norm", name="t", protocol="")
    with pytest.raises(DataError, match=r"no metric is named 'acc_nrm'.*did you mean 'acc_norm'"):
        accuracy([scored([0.0, -1.0])], "acc_nrm", name="t", protocol="")


@given(truth=st.lists(st.booleans(), min_size=1, max_size=8), value=st.floats(-5000, 0))
def test_mc2_of_equal_log_likelihoods_is_the_share_of_true_choices(truth, value):
    assert truth_share([value] * len(truth), [float(t) for t in truth]) == pytest.approx(sum(truth) / len(truth))


@given(values=st.lists(st.floats(-20, 0), min_size=2, max_size=6), seed=st.integers(0, 63))
def test_mc2_equals_the_plain_sums_and_does_not_underflow(values, seed):
    scores = [float(seed >> i & 1) for i in range(len(values))]
    probabilities = [math.exp(v) for v in values]
    expected = sum(p * s for p, s in zip(probabilities, scores, strict=True)) / sum(probabilities)
    assert truth_share(values, scores) == pytest.approx(expected)
    assert truth_share([v - 4000 for v in values], scores) == pytest.approx(expected, rel=1e-9, abs=1e-12)
