"""penjing papers, as a user would type it."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from penjing.cli import app
from penjing.papers import clone, find, page, shelf


def invoke(*words):
    return CliRunner().invoke(app, ["papers", *words])


def test_the_list_has_every_paper_with_its_verdict_and_room():
    done = invoke()
    assert done.exit_code == 0, done.output
    heads = [line for line in done.stdout.splitlines() if line[:2].strip().isdigit() and line[2:4] == "  "]
    assert [int(line[:2]) for line in heads] == list(range(1, 52))
    assert all(p.verdict in line and p.name in line for p, line in zip(shelf(), heads, strict=False))
    assert "python -m papers.04-maw.run out/tournament" in done.stdout
    assert "studies of our own" in done.stdout


def test_json_has_figures_as_numbers():
    told = json.loads(invoke("--json").stdout)
    assert len(told["papers"]) == 51
    assert {s["name"] for s in told["studies"]} == {
        "calibration-choice", "healing-curves", "language-battery", "tournament", "vision-battery"
    }  # fmt: skip
    figures = [c["figure"] for p in told["papers"] for c in p["claims"] if c["figure"]]
    assert figures
    assert all(isinstance(f["value"], float | int) and f["n"] >= 1 for f in figures)


@pytest.mark.parametrize("word", ["4", "04", "maw", "04-maw"])
def test_one_is_found_by_number_or_name(word):
    assert json.loads(invoke(word, "--json").stdout)["name"] == "maw"


def test_one_in_full_shows_every_claim_and_where_the_paper_says_it():
    told = " ".join(invoke("51").stdout.split())
    paper = find("51")
    for claim in paper.claims:
        assert claim.claim in told
        assert claim.figure is None or claim.figure.text() in told
    assert "run python -m papers.51-robustness-lottery.run 5 (some 1.25 minutes, 5 seeds)" in told
    assert "in the paper: its ablation" in invoke("17").stdout


def test_a_room_to_come_is_told_from_one_that_is_there():
    assert "not there yet" in invoke("12").stdout
    assert "not there yet" not in invoke("15").stdout
    assert not page.in_house(find("12"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wanda-lottery"], "no paper or study is named 'wanda-lottery'"),
        (["nirwana"], "did you mean 'nirvana'?"),
        (["52"], "no paper has the number 52; they go from 1 to 51"),
        (["--run"], "--run takes one paper"),
        (["29", "--run", "--json"], "--run takes one paper"),
        (["5", "--run"], "05-strip-mlp has nothing to run"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(words, said):
    done = invoke(*words)
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_run_says_what_it_runs_and_where(monkeypatch, tmp_path):
    monkeypatch.setattr(clone, "runnable", lambda paper, start: (tmp_path, paper))
    monkeypatch.setattr(clone, "rerun", lambda paper, place: iter([r.command for r in paper.runs]))
    done = invoke("51", "--run")
    assert done.exit_code == 0
    assert f"in {tmp_path}: python -m papers.51-robustness-lottery.run 5" in done.stderr


def test_the_list_imports_no_torch():
    code = (
        "import sys; sys.argv = ['penjing', 'papers']\nfrom penjing.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
