"""What holds of every edit: its file, its carrier's, and that nobody else asks which edit it has."""

import re

import pytest
from tests.house import tree

from penjing.core.edits import EDITS, edit_class
from penjing.surgery.edits import CARRIERS


@pytest.mark.parametrize("kind", EDITS.names())
def test_an_edit_has_a_carrier_of_its_name(kind: str) -> None:
    assert edit_class(kind).kind == kind
    assert callable(CARRIERS.load(kind).apply)


def test_a_carrier_carries_an_edit() -> None:
    assert CARRIERS.names() == EDITS.names()


def test_no_other_file_asks_which_edit_it_has() -> None:
    classes = "|".join(edit_class(kind).__name__ for kind in EDITS.names())
    asks = re.compile(rf"isinstance\([^)]*\b({classes})\b|type\(\w+\)(\.__name__)? (==|is) .*\b({classes})\b")
    found = [
        tree.name_of(path)
        for path in tree.modules()
        if path.parent.name != "edits" and asks.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
