"""penjing data select, as a user would type it."""

import json
import shlex
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from penjing.cli import app
from penjing.io import load_plan

FEW = ["--candidates", "3", "--rows", "6", "--length", "16", "--held-out", "8", "--keep", "0.5"]


def run(*words: object, fails: bool = False):
    result = CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "200"})
    assert (result.exit_code != 0) is fails, result.output
    return result


def test_the_table_tells_and_its_command_makes_the_plan(tiny, tmp_path, texts):
    words = ["data", "select", tiny, *FEW, "--text", texts["calibration"]]
    shown = run(*words).stdout
    for part in ("divergence", "behind best", "seed 0", "seed 2", "cost of the search: 3 plans", "8 rows of 16 tokens"):
        assert part in shown
    told = json.loads(run(*words, "--json").stdout)
    assert told["cost"]["passes"] == told["cost"]["tries"] == 0  # all were on disk
    (line,) = [x for x in shown.splitlines() if x.startswith("to use it: ")]
    command = shlex.split(line.removeprefix("to use it: "))[1:]
    command[command.index("-o") + 1] = str(tmp_path / "plan")
    run(*command)
    made = load_plan(tmp_path / "plan").made
    assert made["seed"] == told["tried"][0]["seed"]
    assert made["calibration"]["rows"] == 6


def test_the_rows_are_written_and_can_be_passed_on(tiny, tmp_path, texts):
    out = tmp_path / "chosen.jsonl"
    shown = run("data", "select", tiny, *FEW, "--text", texts["calibration"], "-o", out).stdout
    lines = [json.loads(x) for x in out.read_text(encoding="utf-8").splitlines()]
    assert [len(x["tokens"]) for x in lines] == [16] * 6
    assert "6 rows" in shown
    run("plan", tiny, "-o", tmp_path / "plan", "--keep", 0.5, "--text", out, "--rows", 4, "--length", 16)


def test_each_file_is_a_candidate(tiny, texts):
    given = [w for name in ("calibration", "evaluation") for w in ("--text", texts[name])]
    told = json.loads(run("data", "select", tiny, *FEW[2:], "--each", *given, "--json").stdout)
    assert {t["name"] for t in told["tried"]} == {"calibration.txt", "evaluation.txt"}


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--candidates", "1"], "needed 2 or more to choose among"),
        (["-m", "magnitude"], "reads no data"),
        (["--held-out", "9000"], "are always enough"),
        (["-o", "rows.txt"], "ends in .jsonl"),
        (["-o", "rows.jsonl", "--images", "pictures"], "leave one of the two out"),
        (["--keep", "0.5", "--limit-bytes", "1MB"], "one limit"),
    ],
)
def test_what_does_not_serve_is_refused(tiny, texts, words, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ["--rows", "6", "--length", "16", "--text", texts["calibration"]]
    said = " ".join(run("data", "select", tiny, *short, *words, fails=True).stderr.replace("│", " ").split())
    assert match in said
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_torch():
    code = (
        "import sys; from penjing.cli import app\n"
        "try: app(['data', 'select', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--held-out-text" in done.stdout
