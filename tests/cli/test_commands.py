"""Every command on a tiny real checkpoint, as a user would type it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from penjing.cli import COMMANDS, app

SHORT = ["--length", "32", "--rows", "8"]


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    assert "Usage:" in run(command, "--help")


def test_help_imports_no_torch():
    code = (
        "import sys; sys.argv = ['penjing', '--help']\nfrom penjing.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_look_counts_what_the_files_hold(tiny):
    seen = json.loads(run("look", tiny, "--json"))
    stored = load_file(tiny / "model.safetensors")
    assert seen["parameters"] == sum(t.numel() for t in stored.values())
    assert seen["bytes"] == sum(t.nbytes for t in stored.values())
    assert seen["kv_cache_bytes_per_token"] == 2 * 2 * 2 * 8 * 4
    assert "neurons" in run("look", tiny)


def test_look_needs_no_weights(tiny, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    bare, whole = (json.loads(run("look", folder, "--json")) for folder in (tmp_path, tiny))
    assert bare["parameters"] == whole["parameters"]


def test_layout_is_proved_saved_and_read_back(tiny, tmp_path):
    seen = json.loads(run("layout", tiny, "--prove", "--save", tmp_path / "table.json", "--json"))
    free = [a for a in seen["axes"] if a["state"] == "free"]
    assert {a["name"].split(".")[0] for a in free} >= {"neurons", "heads"}
    assert all("graph" in a["proofs"] for a in free if a["name"] != "blocks")
    again = json.loads(run("layout", tiny, "--table", tmp_path / "table.json", "--json"))
    assert again["tensors"] == seen["tensors"]


def test_plan_then_apply_gives_a_folder_that_opens(tiny, texts, tmp_path):
    from transformers import AutoModelForCausalLM

    told = json.loads(
        run("plan", tiny, "-o", tmp_path / "plan", "--keep", 0.5, "--text", texts["calibration"], *SHORT, "--json")
    )
    done = json.loads(run("apply", tiny, tmp_path / "plan", "-o", tmp_path / "small", "--json"))
    assert done["after"]["parameters"] == told["after"]["parameters"] < told["before"]["parameters"]
    assert done["reopened"]["max_abs_difference"] < 1e-5
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    assert sum(p.numel() for p in model.parameters()) == told["after"]["parameters"]
    assert model.config.intermediate_size == 40


def test_shrink_gives_figures_page_and_card(tiny, texts, tmp_path):
    out = tmp_path / "small"
    told = json.loads(
        run(
            "shrink", tiny, "-o", out, "--keep", 0.5, "--text", texts["calibration"],
            "--eval-text", texts["evaluation"], *SHORT, "--no-speed", "--json",
        )
    )  # fmt: skip
    before, after = told["models"]
    assert after["parameters"] < before["parameters"]
    assert after["bytes"] < before["bytes"]
    assert after["perplexity"] > 1
    assert after["decode_seconds_per_token"] is None
    for name in ("report.html", "report.json", "README.md", "penjing.json", "tokenizer.json", "config.json"):
        assert (out / name).stat().st_size > 0


def test_data_free_methods_need_no_tokenizer(tiny, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((tiny / name).read_bytes())
    run("shrink", bare, "-o", tmp_path / "small", "--method", "maw", "--keep", 0.5, "--no-measure")
    assert load_file(tmp_path / "small" / "model.safetensors")["model.layers.0.mlp.up_proj.weight"].shape == (40, 32)


def test_protected_axes_stay_whole_or_the_plan_is_refused(tiny, tmp_path):
    result = CliRunner().invoke(
        app, ["plan", str(tiny), "-o", str(tmp_path / "p"), "-m", "maw", "--keep", "0.5", "--protect", "neurons.0"]
    )
    assert result.exit_code == 1
    assert "intermediate_size" in result.stderr
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--keep", "2"], "BudgetError"),
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--keep", "0.5", "--limit-parameters", "1M"], "BudgetError"),
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--limit-parameters", "12"], "BudgetError"),
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--method", "mav"], "did you mean 'maw'"),
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--axes", "neuronz.*"], "LayoutError"),
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--set", "colour=red", "-m", "maw"], "no setting 'colour'"),
        (["shrink", "{tiny}", "-o", "{tiny}"], "OutputError"),
        (["shrink", "{tmp}/nowhere", "-o", "{tmp}/x"], "CheckpointError"),
        (["shrink", "{tiny}", "-o", "{tmp}/x", "--text", "{tmp}/none.txt"], "DataError"),
    ],
)
def test_mistakes_are_one_clear_line_and_write_nothing(words, said, tiny, tmp_path):
    result = CliRunner().invoke(app, [w.format(tiny=tiny, tmp=tmp_path) for w in words])
    assert result.exit_code == 1, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_compare_writes_one_page(tiny, texts, tmp_path):
    run("shrink", tiny, "-o", tmp_path / "small", "-m", "random", "--keep", 0.5, "--no-measure")
    page = tmp_path / "page.html"
    told = json.loads(
        run(
            "compare", tiny, tmp_path / "small", "-o", page, "--text", texts["evaluation"], "--length", 32,
            "--no-speed", "--json",
        )
    )
    assert [m["perplexity"] > 1 for m in told["models"]] == [True, True]
    text = page.read_text(encoding="utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert [str(p) for p in (tmp_path, tiny.parent, texts["evaluation"].parent) if str(p) in text] == []


def test_methods_are_listed_and_shown():
    names = {m["name"] for m in json.loads(run("methods", "--json"))}
    assert {"activation", "maw", "magnitude", "random"} <= names
    assert "2512.22671" in run("methods", "maw")


def test_a_module_of_ones_own_becomes_smaller():
    import penjing

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(7, 24), torch.nn.ReLU(), torch.nn.Linear(24, 3)).eval()
    x = torch.randn(5, 7)
    done = penjing.shrink(net, example=x, keep=0.5, data=[torch.randn(64, 7) for _ in range(4)], settings={"axes": "*"})
    assert done.module is not None
    assert done.module[0].out_features == 12
    assert done.module(x).shape == (5, 3)
    assert net[0].out_features == 24


def test_load_gives_the_stock_module(tiny):
    import penjing

    assert type(penjing.load(Path(tiny))).__name__ == "LlamaForCausalLM"


def test_a_followed_run_lists_its_figures_and_how_it_ended(tiny, texts, tmp_path):
    from penjing.report.runs import list_runs, read_report

    words = ["measure", tiny, "--text", texts["evaluation"], "--length", 32, "--no-speed", "--runs", tmp_path / "runs"]
    run(*words)
    (found,) = list_runs(tmp_path / "runs")
    assert (found.status, found.name) == ("done", "measure tiny")
    figures = read_report(tmp_path / "runs", found.key).subjects[0].figures
    assert any(f.name == "perplexity" and f.value for f in figures)
    assert CliRunner().invoke(app, [str(w) for w in [*words, "--task", "nothing.jsonl"]]).exit_code == 1
    assert len(list_runs(tmp_path / "runs")) == 1  # refused before a run began


def test_figures_are_given_while_a_comparison_goes_on(tiny, texts, tmp_path):
    import penjing
    from penjing.tasks.reading import read_tasks

    asked = tmp_path / "sums.jsonl"
    asked.write_text('{"question": "a", "choices": ["b", "c"], "answer": 0}\n' * 3, encoding="utf-8")
    grown = []
    penjing.compare(
        tiny, [tiny], texts=[texts["evaluation"]], tasks=read_tasks([str(asked)]), length=32, speed=False,
        so_far=lambda report: grown.append([s.figure("sums") is not None for s in report.subjects]),
    )  # fmt: skip
    assert grown == [[False, False], [True, False], [True, True]]
