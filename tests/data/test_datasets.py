"""Texts of data sets; the package that reads them is stood in for, for it is no dependency."""

import sys
from types import SimpleNamespace

import pytest

from penjing.data import read_texts
from penjing.errors import DataError


class Table:
    """Rows of one part, as the package gives them."""

    def __init__(self, **columns):
        self._columns, self.column_names = columns, list(columns)

    def __iter__(self):
        return iter([dict(zip(self._columns, row, strict=True)) for row in zip(*self._columns.values(), strict=True)])


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Make a folder as `save_to_disk` does, which the package then reads as what was given."""

    def make(found, mark="state.json"):
        (tmp_path / mark).write_text("{}")
        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_from_disk=lambda place: found))
        return tmp_path

    return make


def test_each_row_is_a_text(saved, tmp_path):
    folder = saved(Table(text=["one", "two"], label=[1, 2]))
    (tmp_path / "more.txt").write_text("three")
    assert read_texts([folder, tmp_path / "more.txt"]) == ["one", "two", "three"]


def test_of_several_parts_train_is_read(saved):
    folder = saved({"test": Table(text=["no"]), "train": Table(text=["yes"])}, "dataset_dict.json")
    assert read_texts([folder]) == ["yes"]


def test_of_several_parts_without_train_one_must_be_named(saved):
    with pytest.raises(DataError, match="parts test, validation, needed one"):
        read_texts([saved({"test": Table(text=[""]), "validation": Table(text=[""])}, "dataset_dict.json")])


def test_a_table_without_text_names_its_columns(saved):
    with pytest.raises(DataError, match="columns question, answer"):
        read_texts([saved(Table(question=[], answer=[]))])


def test_without_the_package_it_is_named(saved, monkeypatch):
    folder = saved(Table(text=["one"]))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        read_texts([folder])


def test_a_folder_of_other_things_is_none(tmp_path):
    with pytest.raises(DataError, match="a folder of save_to_disk"):
        read_texts([tmp_path])
