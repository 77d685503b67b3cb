"""Word errors against a loop from the definition; CTC, written and classified sounds on tiny models."""

import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import penjing
from penjing.data.features import Features
from penjing.data.sounds import read_sounds
from penjing.errors import MeasureError
from penjing.running import stock
from penjing.tasks.reading import read_tasks
from penjing.tasks.speech.words import counts, plain, ratio_with_error, transcripts
from penjing.tasks.task import Examined

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6)


def distance(one, other):
    """Levenshtein's, by its recursion."""
    table = [[i + j if 0 in (i, j) else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            swap = table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            table[i][j] = min(swap, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


@given(said=WORDS, heard=st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_errors_are_the_edit_distance_of_the_words(said, heard):
    wrong, of = counts([" ".join(said)], [" ".join(heard)])
    assert wrong == [distance(said, heard)]
    assert of == [len(said)]


@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=3, max_size=9))
def test_the_error_of_the_ratio_is_near_what_leaving_each_out_gives(pairs):
    above, below = zip(*pairs, strict=True)
    value, spread = ratio_with_error(above, below)
    assert value == sum(above) / sum(below)
    n = len(pairs)
    left = [(sum(above) - a) / (sum(below) - b) for a, b in pairs]
    jackknife = ((n - 1) / n * sum((x - statistics.fmean(left)) ** 2 for x in left)) ** 0.5
    # The linear part alone: it is smaller where one recording holds much of all words.
    assert spread <= 3 * jackknife + 1e-9
    assert jackknife <= spread * (1 - max(below) / sum(below)) ** -2 + 1e-9


def test_words_are_compared_without_case_and_punctuation():
    assert plain("  Don’t GO, “forward” — 10_metres!") == "don't go forward 10 metres"


def examined(folder):
    return Examined(name=folder.name, module=stock.load(folder), folder=folder)


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_transcripts_are_those_of_the_home_librarys_own_calls(kind, spoken, request):
    folder = request.getfixturevalue(kind)
    model, sounds = examined(folder), read_sounds(spoken)
    features = Features(folder)
    wanted = []
    for i in range(len(sounds)):
        inputs = features([sounds.wave(i, 16_000)])
        with torch.no_grad():
            ids = model.module(**inputs).logits.argmax(-1) if kind == "ctc" else model.module.generate(**inputs)
        wanted += features.reader().batch_decode(ids, skip_special_tokens=True)
    assert transcripts(model, sounds, batch=1) == wanted


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_the_figure_is_a_rate_with_its_items(kind, spoken, request):
    folder = request.getfixturevalue(kind)
    (task,) = read_tasks([f"speech:{spoken}"])
    words, characters = task.run(examined(folder))
    assert words.name == "spoken"
    assert words.better == "lower"
    assert words.value == sum(words.items["errors"]) / sum(words.items["tokens"])
    assert words.n == len(words.items["id"]) == 6
    assert sum(words.items["tokens"]) == 12
    assert characters.name == "spoken:characters"


def test_classes_are_matched_by_name(classifier, classes):
    (task,) = read_tasks([f"sounds:{classes}"])
    model = examined(classifier)
    (found,) = task.run(model)
    features, sounds = Features(classifier), read_sounds(classes)
    right = 0
    for i, label in enumerate(sounds.labels):
        with torch.no_grad():
            best = model.module(**features([sounds.wave(i, 16_000)])).logits.argmax(-1).item()
        right += model.module.config.id2label[best] == sounds.names[label]
    assert found.value == right / 6
    assert found.chance == 0.5
    assert found.unit == "share of recordings"


def test_a_model_that_writes_no_words_says_so(classifier, spoken):
    (task,) = read_tasks([f"speech:{spoken}"])
    with pytest.raises(MeasureError, match="writes no words"):
        task.run(examined(classifier))


@pytest.mark.parametrize(("kind", "data"), [("ctc", "spoken"), ("whisper", "spoken"), ("classifier", "classes")])
def test_a_plan_is_made_from_recordings(kind, data, request):
    folder, sounds = request.getfixturevalue(kind), request.getfixturevalue(data)
    method = "activation" if kind == "ctc" else "taylor"
    plan = penjing.plan(folder, keep=0.5, method=method, settings={"axes": "neurons.*"}, audio=[sounds], rows=4)
    assert plan.keeps()
    assert plan.made["calibration"]["rows"] == 4
