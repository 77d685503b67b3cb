"""What a folder holds is named in one file of the package, its own; methods name the statistics that they ask for."""

import re

import pytest
from tests.house import tree

from penjing.calibrate import known

ASKING = ("methods/",)


def named_in(name, *, own, beside=()):
    """Files of the package, others than its own, that hold the name as a word."""
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    files = [p for p in tree.modules() if not tree.name_of(p).startswith((*beside, own))]
    return [tree.name_of(p) for p in files if word.search(p.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", known())
def test_a_statistic_is_named_in_its_own_file_and_by_methods(name):
    assert named_in(name, own=f"calibrate/statistics/{name}.py", beside=ASKING) == []
