"""Layouts are kept by config, stored shapes and versions; a damaged or forbidden cache costs time only."""

import gc
import json
import os
import time

import pytest
from tests.layouts.test_table import small

from penjing.layouts import cache, known
from penjing.layouts.table import to_text
from penjing.models import MODELS


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_what_is_written_is_read():
    cache.write("a", small())
    assert cache.read("a") == small()
    assert cache.read("b") is None


def test_the_folder_holds_nothing_but_whole_files():
    cache.write("a", small())
    assert [p.name for p in cache.folder().iterdir()] == ["a.txt"]


def test_a_damaged_file_is_ignored_and_written_anew():
    cache.write("a", small())
    path = cache.folder() / "a.txt"
    path.write_text(path.read_text()[:100])
    assert cache.read("a") is None
    cache.write("a", small())
    assert cache.read("a") == small()


def test_a_folder_that_cannot_be_made_is_let_be(own_folder):
    (own_folder / "cache").write_text("a file stands here")
    cache.write("a", small())
    assert cache.read("a") is None


def test_the_key_depends_on_config_and_stored_shapes():
    keys = {
        cache.key({"a": 1}, None),
        cache.key({"a": 2}, None),
        cache.key({"a": 1}, {"w": (2,)}),
        cache.key({"a": 1}, {"w": (3,)}),
    }
    assert len(keys) == 4
    assert cache.key({"a": 1, "b": 2}, None) == cache.key({"b": 2, "a": 1}, None)


def test_the_key_depends_on_the_code_of_an_architecture_of_our_own(tmp_path, monkeypatch):
    config, file = {"model_type": "scaling_mlps"}, tmp_path / "scaling_mlps.py"
    monkeypatch.setattr(MODELS.load("scaling_mlps"), "__file__", str(file))
    keys = []
    for text in ("blocks", "stages"):
        file.write_text(text)
        keys.append(cache.key(config, None))
    assert keys[0] != keys[1]


def test_a_kept_layout_is_returned_without_deriving(monkeypatch):
    config = {"model_type": "no such type"}
    cache.write(cache.key(config, None), small())
    assert known.from_config(config) == small()


def test_reading_a_layout_of_700_tensors_is_quick():
    layout = small()
    many = {f"layers.{i}.{t}": p for i in range(145) for t, p in layout.patterns.items()}
    cache.write("big", type(layout)(patterns=many, axes=layout.axes))
    start = time.process_time()
    cache.read("big")
    assert time.process_time() - start < 0.5  # the aim is 0.1 s on a quiet machine


def hostile(layout: str) -> dict[str, str]:
    """Texts that are not what `to_text` writes, whatever their checksum says."""
    table = json.loads(layout)
    axis = next(iter(table["axes"]))
    tensor = next(iter(table["patterns"]))

    def with_axis(**more):
        return json.dumps(table | {"axes": {**table["axes"], axis: {**table["axes"][axis], **more}}})

    return {
        "nothing": "",
        "no JSON": "{",
        "nested": "[" * 100_000,
        "a list": "[1, 2]",
        "a long number": layout.replace('"size": ', '"size": ' + "9" * 5000, 1),
        "a size that is text": with_axis(size="1"),
        "a size that is true": with_axis(size=True),
        "a size below nothing": with_axis(size=-1),
        "a state that is none": with_axis(state="[red]free"),
        "a reason that is none": with_axis(reason=["x"]),
        "another field": with_axis(other=1),
        "a pattern that is a number": json.dumps(table | {"patterns": {tensor: 3}}),
        "a pattern that is nested": json.dumps(table | {"patterns": {tensor: "(" * 50_000}}),
        "a dimension too many": json.dumps(table | {"reads": {tensor: [99]}}),
        "work over nothing": json.dumps(table | {"work": [[1, ["nowhere"], 1, ""]]}),
        "work that is text": json.dumps(table | {"work": [["1", [], 1, ""]]}),
        "aliases that are numbers": json.dumps(table | {"aliases": {"a": 1}}),
        "notes that are numbers": json.dumps(table | {"notes": [1]}),
        "tensors that are lists": json.dumps(table | {"unreached": [["a"]]}),
        "entries that move by text": json.dumps(
            table | {"entries": [{"path": "a", "value": 1.0, "moves": {axis: "1"}, "scales": [], "together": []}]}
        ),
    }


@pytest.mark.parametrize("what", hostile(to_text(small())))
def test_a_hostile_file_is_as_good_as_none(what):
    cache.write_text("a", hostile(to_text(small()))[what])
    assert cache.read("a") is None
    cache.write("a", small())
    assert cache.read("a") == small()


def test_a_changed_byte_is_noticed():
    cache.write("a", small())
    path = cache.folder() / "a.txt"
    path.write_bytes(path.read_bytes().replace(b'"size": ', b'"size": 1', 1))
    assert cache.read("a") is None


def test_what_is_no_file_or_too_large_is_let_be(monkeypatch):
    cache.write("a", small())
    monkeypatch.setattr(cache, "LARGEST", 10)
    assert cache.read("a") is None
    (cache.folder() / "b.txt").mkdir()
    assert cache.read("b") is None
    os.mkfifo(cache.folder() / "c.txt")
    assert cache.read("c") is None


def test_the_garbage_collector_runs_again_after_a_layout(monkeypatch):
    monkeypatch.setattr(known, "_derived", lambda *_, **__: gc.isenabled())
    assert known.from_config({}, cache=False) is False
    assert gc.isenabled()
