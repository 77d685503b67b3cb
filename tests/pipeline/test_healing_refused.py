"""What cannot be healed is refused before any work, and nothing is written."""

import json

import pytest
import torch
from tests.pipeline.healing_home import HOW, healed, home, no_fresh_process

import penjing
from penjing.errors import DataError, OutputError, PenjingError, RequestError
from penjing.pipeline.request import Choice, Heal, Measure, Request, Source

__all__ = ["home", "no_fresh_process"]


def refused(home, tmp_path, error, said, **more):
    with pytest.raises(error, match=said):
        healed(home, tmp_path / "out", **more)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "own") == []


def test_what_cannot_serve_is_refused_and_nothing_is_written(home, tmp_path):
    (tmp_path / "own").mkdir()
    short = tmp_path / "own" / "short.txt"
    short.write_text("too short", encoding="utf-8")
    refused(home, tmp_path, DataError, r"found 9 tokens to train on, needed 64 for one batch", texts=[short])
    refused(home, tmp_path, RequestError, "needs the model that this one was made from", teacher=None)
    refused(home, tmp_path, RequestError, "is the student itself", teacher=home / "cut")
    refused(home, tmp_path, PenjingError, "no healer named 'logit'; did you mean 'logits'", method="logit")
    refused(home, tmp_path, RequestError, "no setting 'warmth'", how=Heal(**HOW, loop={"warmth": 1}))
    refused(home, tmp_path, DataError, "share", texts=[home / "other.txt"],
            measure=Measure(texts=(str(home / "other.txt"),), speed=False, length=32))  # fmt: skip


def test_a_smaller_teacher_and_one_of_other_words_are_refused(home, tmp_path):
    with pytest.raises(RequestError, match="name that one"):
        penjing.heal(home / "tiny", tmp_path / "out", teacher=home / "cut", how=Heal(**HOW), progress=False)
    other = tmp_path / "own"
    other.mkdir()
    for path in (home / "tiny").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    table = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    words = table["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (other / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    refused(home, tmp_path, DataError, "reads text by a vocabulary", teacher=other)


def test_an_output_that_is_in_use_is_refused(home, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        healed(home, tmp_path / "out")


def test_options_that_contradict_are_refused_where_they_are_given(home):
    with pytest.raises(RequestError, match="minutes or tokens, one of the two; found neither"):
        Heal()
    with pytest.raises(RequestError, match="found minutes 1 and tokens 5"):
        Heal(minutes=1, tokens=5)
    with pytest.raises(RequestError, match="needed more than 0"):
        Heal(minutes=-1)
    with pytest.raises(RequestError, match="nothing is cut"):
        Request(source=Source(model="m"), heal=Heal(minutes=1, teacher="t"), choice=Choice(keep=0.5))
    with pytest.raises(RequestError, match="this is a module in memory"):
        penjing.shrink(torch.nn.Linear(2, 2), example=torch.zeros(1, 2), heal=Heal(minutes=1))
