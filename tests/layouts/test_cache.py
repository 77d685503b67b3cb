"""Layouts are kept by config, stored shapes and versions; a damaged or forbidden cache costs time only."""

import time

import pytest
from tests.layouts.test_table import small

from penjing.layouts import cache, derive


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
    assert [p.name for p in cache.folder().iterdir()] == ["a.json"]


def test_a_damaged_file_is_ignored_and_written_anew():
    cache.write("a", small())
    path = cache.folder() / "a.json"
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


def test_a_kept_layout_is_returned_without_deriving(monkeypatch):
    config = {"model_type": "no such type"}
    cache.write(cache.key(config, None), small())
    assert derive.from_config(config) == small()


def test_reading_a_layout_of_700_tensors_is_quick():
    layout = small()
    many = {f"layers.{i}.{t}": p for i in range(145) for t, p in layout.patterns.items()}
    cache.write("big", type(layout)(patterns=many, axes=layout.axes))
    start = time.process_time()
    cache.read("big")
    assert time.process_time() - start < 0.5  # the aim is 0.1 s on a quiet machine
