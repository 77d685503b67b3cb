import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.tasks.instructions.counting import capital_words, holds, sentences, words

PLAIN = st.lists(st.sampled_from(["cat", "Dog", "7", "x-ray", "naïve"]), min_size=1, max_size=6)


def naive_words(text):
    """Runs of letters, digits and underscores, one character at a time."""
    found, run = [], ""
    for letter in text + " ":
        if letter.isalnum() or letter == "_":
            run += letter
        elif run:
            found, run = [*found, run], ""
    return found


@given(st.text(alphabet="aB9_é -.,'\n", max_size=40))
def test_words_equal_the_loop(text):
    assert words(text) == naive_words(text)


@given(st.lists(st.tuples(PLAIN, st.sampled_from([".", "!", "?", "?!", '."', ".)"])), min_size=1, max_size=6))
def test_plain_sentences_are_counted(parts):
    text = " ".join(" ".join(["The", *body, "sat"]) + end for body, end in parts)
    assert sentences(text) == len(parts)
    assert sentences(text + "\n\n") == len(parts)
    assert sentences(text + " And a rest") == len(parts) + 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Mr. Li and Dr. Wu left, e.g. for St. Ives.", 1),
        ("He works for Acme Inc. in Rome. She does not.", 2),
        ("We met at 5 p.m. It rained.", 2),
        ("We met at 5 p.m. by chance.", 1),
        ("J. R. Smith wrote it.", 1),
        ("So do I. You too.", 2),
        ("It is 3.14 or so. See example.com for more.", 2),
        ("1. Mix it.\n2. Bake it.", 2),
        ("Wait... what?", 1),
        ("Wait... What?", 2),
        ('"Go!" he said. "Now?"', 3),
        ("今日は雨です。家にいます。", 2),
        ("यह एक घर है। वह बड़ा है।", 2),
        ("# A title\n\nwith a text", 1),
        ("...", 0),
        ("", 0),
    ],
)
def test_sentences_by_hand(text, count):
    assert sentences(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [("BIG Big big", 1), ("U.S. and E-MAIL", 2), ("DON'T", 1), ("I am A. B", 3), ("12 3B", 1), ("", 0)],
)
def test_capital_words_by_hand(text, count):
    assert capital_words(text) == count


def test_relations():
    assert holds(2, "less than", 3)
    assert not holds(3, "less than", 3)
    assert holds(3, "at least", 3)
    assert not holds(2, "at least", 3)
