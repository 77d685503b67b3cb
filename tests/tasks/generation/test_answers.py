import pytest

from penjing.errors import DataError
from penjing.tasks.generation.answers import READINGS, flexible_number, matches, pattern, strict_number


@pytest.mark.parametrize(
    ("reply", "strict", "flexible"),
    [
        (" 6 x 3 = 18.\n#### 18", "18", "18"),
        (" so #### 1,200. #### 7", "1,200.", "7"),
        (" #### -5", "-5", "-5"),
        (" It costs $1,200.50.", None, "$1,200.50."),
        (" about 3 or 4", None, "4"),
        (" no idea", None, None),
        ("", None, None),
        ("####18", None, "18"),
    ],
)
def test_gsm8ks_two_readings(reply, strict, flexible):
    assert strict_number(reply) == strict
    assert flexible_number(reply) == flexible


@pytest.mark.parametrize(
    ("reply", "target"), [("$1,200.", "1200"), ("18.", "18"), ("1,200", "1,200"), ("3.50", "3.50")]
)
def test_numbers_are_compared_without_their_dress(reply, target):
    assert matches(f"#### {reply.lstrip('$')}", (target,), READINGS["strict"])[0]
    assert matches(f"It is {reply}", (target,), READINGS["flexible"])[0]


def test_a_number_is_not_another():
    assert not matches("#### 3.5", ("35",), READINGS["strict"])[0]
    assert not matches("#### 18", ("-18",), READINGS["strict"])[0]
    assert matches("nothing", ("18",), READINGS["strict"]) == (False, None)


def test_any_target_is_right():
    assert matches(" parody \n", ("comedy", "parody"), READINGS["exact"]) == (True, " parody \n")
    assert not matches("Parody", ("parody",), READINGS["exact"])[0]


def test_a_pattern_takes_its_first_match():
    reading = pattern(r"[-+]?\d+")
    assert matches("It is -12, or 13", ("-12",), reading) == (True, "-12")
    assert matches("(a) yes", ("a",), pattern(r"\((\w)\)"))[0]
    assert matches("no number", ("12",), reading) == (False, None)


def test_a_wrong_pattern_is_refused():
    with pytest.raises(DataError, match="is no regular expression"):
        pattern("(")
    with pytest.raises(DataError, match="has 2 groups, needed one or none"):
        pattern("(a)(b)")
