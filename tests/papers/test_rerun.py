"""`--run` and `python -m papers`: what is run, where, and what is said where nothing can be."""

import json

import pytest
from papers import __main__ as program

from penjing.errors import PenjingError
from penjing.papers import clone, find, read

SCRIPT = "import sys\nfrom pathlib import Path\nPath('ran').write_text(' '.join(sys.argv[1:]))\nsys.exit({code})\n"


@pytest.fixture
def toy(tmp_path):
    """A clone with one reproduction in it, whose program writes down its arguments and ends with a code."""

    def make(code=0):
        folder = tmp_path / "papers" / "29-icbs"
        folder.mkdir(parents=True)
        (tmp_path / "src" / "penjing").mkdir(parents=True)
        (tmp_path / "papers" / "__main__.py").write_text("")
        (folder / "run.py").write_text(SCRIPT.format(code=code))
        row = {
            "number": 29, "name": "icbs", "title": "t", "paper": None, "room": "methods", "results": {},
            "runs": [{"command": "python -m papers.29-icbs.run 'a b' 2", "minutes": None, "seeds": None}],
            "claims": [{"claim": "c", "verdict": "not", "where": None, "figure": None}],
        }  # fmt: skip
        (folder / "expected.json").write_text(json.dumps(row))
        return tmp_path

    return make


def test_its_command_runs_in_the_clone_around_the_place(toy):
    root = toy()
    place, paper = clone.runnable(find("29"), root / "papers" / "29-icbs")
    assert place == root
    assert list(clone.rerun(paper, place)) == ["python -m papers.29-icbs.run 'a b' 2"]
    assert (root / "ran").read_text() == "a b 2"


def test_a_command_that_fails_is_named_with_its_code(toy):
    root = toy(code=3)
    with pytest.raises(PenjingError, match=r"`python -m papers\.29-icbs\.run 'a b' 2` ended with exit code 3"):
        list(clone.rerun(read(root / "papers" / "29-icbs" / "expected.json"), root))


def test_what_is_not_reproduced_cannot_be_run(toy):
    with pytest.raises(PenjingError, match=r"05-strip-mlp has nothing to run.*04-maw"):
        clone.runnable(find("5"), toy())


def test_outside_of_a_clone_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(clone, "__file__", str(tmp_path / "a/b/c/d.py"))
    with pytest.raises(PenjingError, match=r"clone it, `make setup` there, and run `penjing papers 29 --run`"):
        clone.runnable(find("29"), tmp_path)


def test_an_older_clone_is_told_from_none(toy):
    with pytest.raises(PenjingError, match=r"has no papers/04-maw; bring it up to date"):
        clone.runnable(find("4"), toy())


def test_the_program_of_the_clone_refuses_an_unknown_name(capsys):
    assert program.main(["29-icb"]) == 2
    assert "no reproduction is named '29-icb'; did you mean '29-icbs'?" in capsys.readouterr().err


def test_the_program_of_the_clone_runs_what_the_schema_says(toy, monkeypatch, capsys):
    monkeypatch.setattr(program, "HERE", toy(code=3) / "papers")
    assert program.main(["29-icbs"]) == 1
    told = capsys.readouterr()
    assert "python -m papers.29-icbs.run 'a b' 2" in told.out
    assert "exit code 3" in told.err


def test_a_child_sees_the_clone_s_own_penjing_first(toy):
    root = toy()
    (root / "papers" / "29-icbs" / "run.py").write_text(
        "import os\nfrom pathlib import Path\nPath('ran').write_text(os.environ['PYTHONPATH'].split(os.pathsep)[0])\n"
    )
    list(clone.rerun(read(root / "papers" / "29-icbs" / "expected.json"), root))
    assert (root / "ran").read_text() == str(root / "src")
