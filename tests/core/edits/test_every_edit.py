"""What holds of every edit: its file, its carrier's, and that nobody else asks which edit it has."""

import ast
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


MAKERS = ("methods/", "select/", "pipeline/healing.py")
"""Who makes edits: methods, what chooses for them, and healing, whose plan are the values that training gave."""
LISTS = ("core/__init__.py", "__init__.py")


@pytest.mark.parametrize("kind", EDITS.names())
def test_an_edit_is_named_in_its_two_files_and_where_plans_are_made(kind: str) -> None:
    """As a name in code; words of prose and of messages are free."""
    name, own = edit_class(kind).__name__, {f"core/edits/{kind}.py", f"surgery/edits/{kind}.py", *LISTS}
    others = [p for p in tree.modules() if not tree.name_of(p).startswith(MAKERS) and tree.name_of(p) not in own]
    found = {
        tree.name_of(path)
        for path in others
        for node in ast.walk(tree.tree(path))
        if (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names})
    }
    assert found == set()
