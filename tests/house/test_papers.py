"""Reproductions: every paper has its row, and what the package prints is what the folders of the clone say."""

import json

import pytest
from papers import expected
from tests.house import tree

from penjing.papers import read, shelf
from penjing.papers.page import in_house

FOLDERS = expected.folders()
NAMES = [f.name for f in FOLDERS]


def test_all_51_papers_have_a_row():
    assert [p.number for p in shelf() if p.number is not None] == list(range(1, 52))


def test_there_are_reproductions():
    assert {"04-maw", "06-amp", "17-nirvana", "29-icbs", "51-robustness-lottery", "tournament"} <= set(NAMES)


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_a_folder_s_row_is_current(folder):
    row = expected.ROWS / f"{folder.name}.json"
    assert row.is_file(), "run `make papers-rows`"
    assert read(row) == read(folder / "expected.json"), "run `make papers-rows`"


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_verdicts_are_what_the_readings_say(folder):
    assert expected.disagreements(json.loads((folder / "expected.json").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_a_folder_says_what_it_found_and_has_the_programs_that_it_names(folder):
    assert (folder / "README.md").is_file()
    assert json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"]
    programs = {run.command.split()[2].rpartition(".")[2] for run in read(folder / "expected.json").runs}
    assert programs
    assert [p for p in programs if not (folder / f"{p}.py").is_file()] == []


def test_what_has_no_folder_is_not_yet_reproduced():
    assert {p.folder: p.verdict for p in shelf() if p.folder not in NAMES and (p.verdict != "not yet" or p.runs)} == {}


def test_what_was_reproduced_names_a_room_of_the_house():
    assert [p.folder for p in shelf() if p.folder in NAMES and not in_house(p)] == []


def test_papers_are_named_once():
    numbered = [p for p in shelf() if p.number is not None]
    for key in ("name", "title", "paper"):
        values = [getattr(p, key) for p in numbered]
        assert len(set(values)) == len(values)
    assert not [p.folder for p in numbered if not (p.paper or "").startswith("arXiv:")]


def test_rows_go_into_the_package():
    assert '"papers/rows/*"' in (tree.ROOT / "pyproject.toml").read_text(encoding="utf-8")
