"""What `penjing methods` prints: names can be typed as they stand, types are words."""

from importlib import metadata
from io import StringIO

import pytest
from rich.console import Console

from penjing.methods import METHODS
from penjing.report.methods import methods_failed, methods_json, methods_page, type_in_words


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("<class 'int'>", "whole number"),
        ("str | None", "text or none"),
        ("tuple[str, ...]", "text, several with commas"),
        ("typing.Literal['uniform', 'global']", "one of 'uniform', 'global'"),
    ],
)
def test_types_are_words(kind, said):
    assert type_in_words(kind) == said


def test_names_are_whole_where_a_terminal_is_narrow():
    console = Console(width=80, record=True, file=StringIO())
    console.print(methods_page())
    text = console.export_text()
    assert all(name in text for name in METHODS.names())


def test_one_that_cannot_be_imported_is_named_and_costs_no_other(monkeypatch):
    usual = {row["name"] for row in methods_json()}
    broken = metadata.EntryPoint(name="broken", value="no_such_package_of_anybody", group="penjing.methods")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [broken])
    assert {row["name"] for row in methods_json()} == usual
    (line,) = methods_failed()
    assert "'broken' is left out" in line
    assert "no_such_package_of_anybody" in line
