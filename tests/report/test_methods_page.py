"""What `penjing methods` prints: names can be typed as they stand, types are words."""

from io import StringIO

import pytest
from rich.console import Console

from penjing.methods import METHODS
from penjing.report.methods import methods_page, type_in_words


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
