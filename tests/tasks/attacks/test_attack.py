"""The greedy search equals the algorithm as the papers write it."""

import math
from dataclasses import replace
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.attacks.toy import ITEMS, SYNONYMS, classify

from penjing.data.labelled import LabelledText
from penjing.errors import MeasureError
from penjing.tasks.attacks import RECIPES, attack_text, recipe, run_attack
from penjing.tasks.attacks.wording import STOP_WORDS, open_places, split

WORDS = ["good", "Bad", "film", "nice", "poor", "the", "and", "tree", "fine"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)


def p(text, label):
    return float(classify([text])[0, label])


def argmax(text):
    return int(classify([text])[0].argmax())


def ranks(name, text, label, options):
    """Places by importance, one query at a time, as the recipe's paper ranks them."""
    words = text.split(" ")
    places = [i for i, w in enumerate(words) if w.lower() not in STOP_WORDS]
    scores = {}
    for i in places:
        gone = " ".join(words[:i] + words[i + 1 :])
        unknown = " ".join([*words[:i], "[UNK]", *words[i + 1 :]])
        scores[i] = p(text, label) - p(gone if name in ("misspellings", "textbugger-characters") else unknown, label)
    if name == "pwws":
        whole = sum(math.exp(s) for s in scores.values())
        gains = {}
        for i in places:
            made = [" ".join([*words[:i], c, *words[i + 1 :]]) for c in options[i]]
            if made:
                gains[i] = max(p(text, label) - p(m, label) for m in made)
        scores = {i: math.exp(scores[i]) / whole * gains[i] for i in gains}
    return sorted(scores, key=lambda i: (-round(scores[i], 12), i))


def naive_attack(attack, text, label, share, seed, name):
    """The loop of 'adversarially robust fine-tuning', in its order: (correct, flipped, text)."""
    if argmax(text) != label:
        return False, False, text
    words = text.split(" ")
    options = [attack.transformation.candidates(w, Random(f"{seed}:{name}:{i}")) for i, w in enumerate(words)]
    now, changed = list(words), 0
    for i in ranks(attack.name, text, label, options):
        if changed and (changed + 1) > share * len(words):
            break
        tried = [[*now[:i], c, *now[i + 1 :]] for c in options[i]]
        if not tried:
            continue
        flips = [t for t in tried if argmax(" ".join(t)) != label]
        if flips:
            return True, True, " ".join(min(flips, key=lambda t: p(" ".join(t), label)))
        best = min(tried, key=lambda t: p(" ".join(t), label))
        if p(" ".join(best), label) < p(" ".join(now), label):
            now, changed = best, changed + 1
    return True, False, " ".join(now)


@pytest.mark.parametrize("name", RECIPES)
@given(text=TEXTS, label=st.integers(0, 1), share=st.sampled_from([0.2, 0.5, 1.0]), seed=st.integers(0, 3))
def test_equals_the_loop(name, text, label, share, seed):
    attack = recipe(name, synonyms=SYNONYMS, most_changed=share)
    item = LabelledText(id="x", text=text, label=label)
    found = attack_text(classify, item, attack, seed=seed)
    assert (found.correct, found.flipped, found.text) == naive_attack(attack, text, label, share, seed, "x")


@pytest.mark.parametrize("name", RECIPES)
@given(text=TEXTS, seed=st.integers(0, 3))
def test_a_flip_is_one_and_stop_words_stay(name, text, seed):
    item = LabelledText(id="x", text=text, label=argmax(text))
    found = attack_text(classify, item, recipe(name, synonyms=SYNONYMS), seed=seed)
    assert found.flipped == (argmax(found.text) != item.label)
    assert p(found.text, item.label) <= p(text, item.label)
    before, kept = split(text), [w for w in text.split(" ") if w in STOP_WORDS]
    assert [w for w in found.text.split(" ") if w in STOP_WORDS][: len(kept)] == kept or "textbugger" in name
    assert found.changed <= len(open_places(before))


def test_a_text_that_is_wrong_is_not_attacked():
    (found,) = run_attack(classify, [replace(ITEMS[0], label=0)], recipe("misspellings"))
    assert (found.correct, found.flipped, found.robust, found.queries, found.changed) == (False, False, False, 1, 0)
    assert found.text == ITEMS[0].text


def test_punctuation_and_blanks_stay_where_they_are():
    item = LabelledText(id="1", text="  So: GOOD,\tfilm!\n", label=1)
    (found,) = run_attack(classify, [item], recipe("pwws", synonyms=SYNONYMS))
    assert found.text == "  So: DECENT,\tmovie!\n"
    assert found.changed == 2


def test_queries_count_every_text_that_the_classifier_sees():
    seen = []

    def counting(texts):
        seen.extend(texts)
        return classify(texts)

    for name in RECIPES:
        seen.clear()
        found = run_attack(counting, ITEMS, recipe(name, synonyms=SYNONYMS))
        assert sum(o.queries for o in found) == len(seen)


def test_texts_without_words_are_robust_after_one_query():
    found = run_attack(classify, [replace(i, label=0) for i in ITEMS[-2:]], recipe("deepwordbug"))
    assert [(o.robust, o.queries) for o in found] == [(True, 1), (True, 1)]


def test_the_same_seed_gives_the_same_texts_in_any_order():
    attack = recipe("deepwordbug")
    forth = run_attack(classify, ITEMS, attack, seed=3)
    back = run_attack(classify, ITEMS[::-1], attack, seed=3)
    assert forth == back[::-1]
    assert [o.text for o in forth] != [o.text for o in run_attack(classify, ITEMS, attack, seed=4)]


@pytest.mark.parametrize("shape", [(2,), (1, 1)])
def test_a_classifier_of_another_shape_is_refused(shape):
    with pytest.raises(MeasureError, match="a column for every label"):
        run_attack(lambda texts: torch.ones(shape), ITEMS[:1], recipe("deepwordbug"))


def test_probabilities_that_are_not_numbers_are_refused():
    with pytest.raises(MeasureError, match="not numbers"):
        run_attack(lambda texts: torch.full((len(texts), 2), float("nan")), ITEMS[:1], recipe("deepwordbug"))


def test_unknown_recipes_and_missing_synonyms_are_refused():
    with pytest.raises(MeasureError, match="did you mean 'pwws'"):
        recipe("pws")
    with pytest.raises(MeasureError, match="needs synonyms"):
        recipe("pwws")
    with pytest.raises(MeasureError, match="above 0"):
        recipe("misspellings", most_changed=0)
