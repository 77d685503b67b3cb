"""What holds of every kind of module that a plan may insert, and of plug-ins."""

import sys
from dataclasses import fields, is_dataclass
from importlib import metadata

import pytest

from penjing.errors import PenjingError
from penjing.nn import KINDS


@pytest.mark.parametrize("name", KINDS.names())
def test_its_settings_are_plain_and_its_axes_are_settings(name):
    file = KINDS.load(name)
    assert is_dataclass(file.Settings)
    assert file.Settings.__dataclass_params__.frozen
    settings = {f.name: f.type for f in fields(file.Settings)}
    assert {*settings.values()} <= {int, float, bool, str, "int", "float", "bool", "str"}
    assert file.AXES.keys() <= {name for name, kind in settings.items() if kind in (int, "int")}


def test_a_plug_in_that_cannot_be_imported_is_named_and_the_rest_works(monkeypatch, tmp_path):
    (tmp_path / "broken_plug_in.py").write_text("raise RuntimeError('no such device')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    point = metadata.EntryPoint("broken", "broken_plug_in", "penjing.nn")
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [point] if group == "penjing.nn" else [])
    found = KINDS.load_all()
    assert "low_rank" in found.modules
    assert "no such device" in str(found.failed["broken"])
    with pytest.raises(PenjingError, match="'broken' \\(broken_plug_in\\) cannot be imported"):
        KINDS.load("broken")
