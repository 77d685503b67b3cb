"""A whole shrink opens each model once in this process, gives the figures it gave, and holds two models at most."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.house.tiny import tiny_model

import penjing
from penjing.errors import MeasureError
from penjing.pipeline.request import Measure
from penjing.running import stock
from penjing.running.lending import Lender
from penjing.tasks.reading import read_tasks

QUICK = Measure(speed=False)


@pytest.fixture
def opened(monkeypatch):
    """How often each folder was opened in this process, by its name, and how many models there were at most."""
    import gc
    import weakref

    seen: Counter = Counter()
    alive: list[weakref.ref] = []
    load = stock.load

    def counting(folder, **how):
        module = load(folder, **how)
        seen[Path(folder).name] += 1
        alive.append(weakref.ref(module))
        gc.collect()
        seen["at once"] = max(seen["at once"], sum(r() is not None for r in alive))
        return module

    monkeypatch.setattr(stock, "load", counting)
    return seen


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("openings") / "tiny")


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The same in bfloat16."""
    place = tiny_model(tmp_path_factory.mktemp("openings") / "half")
    stock.load(place, dtype=torch.bfloat16).save_pretrained(place)
    return place


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["tiny", pytest.param("half", marks=pytest.mark.nightly)])
def test_a_measured_shrink_opens_each_model_once(name, request, cache, tmp_path, opened):
    model = request.getfixturevalue(name)
    opened.clear()
    done = penjing.shrink(model, tmp_path / "out", keep=0.5, rows=4, length=32, measure=QUICK)
    assert opened == {name: 1, "out": 1, "at once": 2}
    before, after = done.report.subjects
    assert before.figure("perplexity").value
    assert after.figure("perplexity").value
    assert after.figure("cka").value is not None
    assert "difference" in done.report.provenance["reopened"]


def test_a_method_that_edits_the_model_costs_no_opening(tiny, cache, tmp_path, opened):
    penjing.shrink(tiny, tmp_path / "out", method="minitron", keep=0.75, rows=4, length=32, measure=QUICK)
    assert opened == {"tiny": 1, "out": 1, "at once": 2}


def test_tasks_are_run_on_models_that_are_open(tiny, cache, tmp_path, opened):
    asked = tmp_path / "sums.jsonl"
    asked.write_text('{"question": "a", "choices": ["b", "c"], "answer": 0}\n' * 3, encoding="utf-8")
    other = tiny_model(tmp_path / "other")
    penjing.compare(tiny, [other], tasks=read_tasks([str(asked)]), length=32, speed=False)
    assert opened == {"tiny": 1, "other": 1, "at once": 2}


def test_three_models_are_opened_once_and_two_are_in_memory(tiny, cache, tmp_path, opened):
    names = ("one", "two", "three")
    report = penjing.compare(tiny, [tiny_model(tmp_path / n) for n in names], length=32, speed=False)
    assert opened == {"tiny": 1, "one": 1, "two": 1, "three": 1, "at once": 2}
    assert all(s.figure("perplexity").value for s in report.subjects)


def test_nothing_is_in_memory_while_times_are_taken(tiny, cache, tmp_path, monkeypatch):
    from penjing.pipeline import side_by_side

    held = []
    lenders = []
    made = Lender.__init__
    monkeypatch.setattr(Lender, "__init__", lambda self, **k: (made(self, **k), lenders.append(self))[0])

    def untimed(*given, **how):
        held.append([len(lender._open) for lender in lenders])
        raise MeasureError("not timed")

    monkeypatch.setattr(side_by_side, "compare_speed", untimed)
    penjing.compare(tiny, [tiny], length=32, speed=True)
    assert held
    assert not any(map(any, held))
