from collections import Counter
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.attacks.toy import SYNONYMS

from penjing.tasks.attacks import (
    DeepWordBug,
    EditDistance,
    Misspellings,
    MostChanged,
    SynonymSwap,
    TextBuggerCharacters,
    levenshtein,
)
from penjing.tasks.attacks.transformations import KEYS, LOOKALIKES
from penjing.tasks.attacks.wording import open_places, split

LETTERS = st.text(alphabet="abcdeXYZ", min_size=1, max_size=9)
SEEDS = st.integers(0, 99)


@given(st.text(max_size=40))
def test_a_split_text_is_put_together_again(text):
    found = split(text)
    assert found.text == text
    assert len(found.gaps) == len(found.words) + 1


def test_words_keep_apostrophes_and_hyphens():
    assert split("Don't re-open, 3 Zoë's!").words == ("Don't", "re-open", "Zoë's")


def test_a_word_goes_with_the_blank_before_it():
    found = split("A good, old film.")
    assert [found.without(i) for i in range(4)] == [" good, old film.", "A, old film.", "A good, film.", "A good, old."]


def test_stop_words_are_not_open():
    assert open_places(split("The film wasn't good, I’m AFRAID")) == [1, 3, 5]


def naive_levenshtein(a, b):
    """The recursion of the definition."""

    @cache
    def distance(i, j):
        if not i or not j:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return distance(len(a), len(b))


@given(LETTERS, LETTERS)
def test_levenshtein_equals_the_recursion(a, b):
    assert levenshtein(a, b) == naive_levenshtein(a, b)


@given(LETTERS, SEEDS)
def test_every_transformation_gives_other_words_once_and_the_same_by_seed(word, seed):
    for change in (DeepWordBug(), TextBuggerCharacters(), Misspellings(), SynonymSwap(SYNONYMS)):
        found = change.candidates(word, Random(seed))
        assert len(set(found)) == len(found)
        assert word not in found
        assert all(found)
        assert found == change.candidates(word, Random(seed))


@given(LETTERS, SEEDS)
def test_deepwordbug_makes_one_edit(word, seed):
    found = DeepWordBug().candidates(word, Random(seed))
    assert len(found) <= 4
    for other in found:
        assert levenshtein(word, other) == 1 or Counter(word) == Counter(other)


@given(st.text(alphabet="abcdeXYZ", min_size=4, max_size=9), SEEDS)
def test_misspellings_keep_the_first_and_the_last_letter(word, seed):
    for other in Misspellings().candidates(word, Random(seed)):
        assert (other[0], other[-1]) == (word[0], word[-1])
        assert levenshtein(word, other) <= 2


def test_misspellings_leave_short_words_alone():
    assert Misspellings().candidates("cat", Random(0)) == ()


def test_textbugger_makes_its_five_bugs():
    found = TextBuggerCharacters().candidates("word", Random(1))
    assert any(" " in other and other.replace(" ", "") == "word" for other in found)
    assert any(not other.isascii() for other in found)
    assert any(len(other) == 3 and other[0] == "w" and other[-1] == "d" for other in found)
    assert "wrod" in found
    assert any(len(other) == 4 and other.isascii() and levenshtein(other, "word") == 1 for other in found)


def test_neighbouring_keys_are_neighbours_both_ways():
    assert set(KEYS) == set("abcdefghijklmnopqrstuvwxyz")
    assert all(a in KEYS[b] for a, near in KEYS.items() for b in near)


def test_lookalikes_are_other_signs():
    assert all(not c.isascii() for near in LOOKALIKES.values() for c in near)


@pytest.mark.parametrize(("share", "allowed"), [(0.1, 1), (0.5, 2), (0.75, 3), (1.0, 4)])
def test_the_share_of_changed_words_is_kept_and_one_may_always_change(share, allowed):
    original = changed = split("one two three four")
    for place in range(4):
        changed = changed.with_word(place, "x")
        assert MostChanged(share).allows(original, changed) == (place + 1 <= allowed)


def test_edits_add_up_over_words():
    original = split("one two three")
    changed = original.with_word(0, "on").with_word(2, "threesome")
    assert EditDistance(5).allows(original, changed)
    assert not EditDistance(4).allows(original, changed)
