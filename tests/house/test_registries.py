"""What a folder holds is named in one file of the package, its own; methods name the statistics that they ask for."""

import re

import pytest
from tests.house import tree

from penjing.calibrate import known
from penjing.tasks.kinds import TASKS, typed, wishes

ASKING = ("methods/",)


def named_in(name, *, own, beside=()):
    """Files of the package, others than its own, that hold the name as a word."""
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    files = [p for p in tree.modules() if not tree.name_of(p).startswith((*beside, own))]
    return [tree.name_of(p) for p in files if word.search(p.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", known())
def test_a_statistic_is_named_in_its_own_file_and_by_methods(name):
    assert named_in(name, own=f"calibrate/statistics/{name}.py", beside=ASKING) == []


@pytest.mark.parametrize("name", TASKS.names())
def test_a_kind_of_task_is_asked_for_in_its_own_file(name):
    """Many are common words, so what is looked for is how they are typed; a benchmark's name stands nowhere at all."""
    own, older = f"tasks/kinds/{name}.py", "report/older.py"
    assert wishes()[typed(name)].split(":")[0] in (typed(name), "FILE.jsonl")
    wish = re.compile(rf"(?<![\w.-]){re.escape(typed(name))}:[A-Za-z{{]")
    files = [p for p in tree.modules() if tree.name_of(p) not in (own, older)]
    assert [tree.name_of(p) for p in files if wish.search(p.read_text(encoding="utf-8"))] == []
    if TASKS.load(name).KIND.title:
        assert named_in(name, own=own, beside=(older,)) == []


@pytest.mark.parametrize("name", TASKS.names())
def test_a_kind_of_task_says_how_it_is_typed_in_its_first_line(name):
    said = TASKS.summaries()[name]
    assert said.startswith("`")
    assert said.endswith(".")
