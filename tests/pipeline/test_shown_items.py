"""Pictures and recordings side by side: those with a difference first, as the items say, with how many there are."""

from pathlib import Path

import numpy as np
import torch

from penjing.core import Measurement, Subject
from penjing.data.images import from_arrays
from penjing.data.sounds import Sounds
from penjing.pipeline.shown_items import ALIKE, CHANGED, shown_items
from penjing.tasks.images.accuracy import ImageAccuracy, top
from penjing.tasks.speech.words import WordErrors


def subject(name, figure):
    return Subject(name=name, source=name, figures=(figure,))


def classified(images, predicted):
    scores = torch.nn.functional.one_hot(torch.tensor(predicted), 3).float()
    return top(scores, images.labels, images.ids, count=1, name="image_accuracy", protocol="p")


def test_pictures_that_are_taken_for_another_class_come_first():
    n = 12
    images = from_arrays(
        np.arange(n * 16, dtype=np.uint8).reshape(n, 4, 4), [i % 3 for i in range(n)], names=("bag", "coat", "shoe")
    )
    before = [i % 3 for i in range(n)]
    after = [2 if i in (3, 6) else i % 3 for i in range(n)]
    rows = shown_items(
        [subject("a", classified(images, before)), subject("b", classified(images, after))],
        [ImageAccuracy(images=images)],
    )
    assert len(rows) == CHANGED + ALIKE
    assert [r["answers"] for r in rows[:2]] == [{"a": "bag", "b": "shoe"}] * 2
    assert [r["right"] for r in rows[:2]] == [{"a": True, "b": False}] * 2
    assert all(len(set(r["answers"].values())) == 1 for r in rows[2:])
    assert {(r["differs"], r["items"], r["of"], r["task"]) for r in rows} == {(2, n, "images", "image_accuracy")}
    assert all(r["image"].startswith("data:image/png;base64,") for r in rows)


def test_recordings_show_what_was_said_and_heard():
    sounds = Sounds(files=(Path("a.wav"), Path("b.wav")), ids=("a.wav", "b.wav"), source="x", sha256="0" * 64)

    def heard(*texts):
        items = {"id": ["a.wav", "b.wav"], "said": ["go on", "stop"], "heard": list(texts)}
        return Measurement(name="held", value=0.5, unit="errors per word", items=items)

    rows = shown_items([subject("a", heard("go on", "stop")), subject("b", heard("go on", "top"))],
                       [WordErrors(sounds=sounds, name="held")])  # fmt: skip
    assert [(r["prompt"], r["answers"]["b"]) for r in rows] == [("stop", "top"), ("go on", "go on")]
    assert "image" not in rows[0]


def test_without_items_of_every_model_nothing_is_shown():
    images = from_arrays(np.zeros((3, 4, 4), dtype=np.uint8), [0, 1, 2])
    bare = Measurement(name="image_accuracy", value=0.5, unit="share of images")
    pair = [subject("a", classified(images, [0, 1, 2])), subject("b", bare)]
    assert shown_items(pair, [ImageAccuracy(images=images)]) == []
