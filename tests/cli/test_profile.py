"""`penjing profile`, as a user would type it."""

import json

import pytest
from tests.profiling.roofline import machine
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.profiling import roofline


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def test_it_is_text_that_says_what_zeros_do(tiny):
    said = run("profile", tiny)
    for phrase in ("where it goes", "mlp", "which cut would pay", "neurons in each block", "why zeros alone do not",
                   "before", "1.00x", "--calibrate does it"):  # fmt: skip
        assert phrase in said


def test_json_counts_the_weights_that_look_counts(tiny):
    plain, why = json.loads(run("look", tiny, "--json")), json.loads(run("profile", tiny, "--json"))
    assert why["zeros"]["weights"] == plain["parameters"]
    assert why["parts"][0]["decode_seconds"] is None


def test_a_config_alone_is_enough(tiny, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    assert "which cut would pay" in run("profile", tmp_path)


def test_calibrating_once_gives_times_from_then_on(tiny, monkeypatch):
    real = roofline.calibrate
    monkeypatch.setattr(roofline, "calibrate", lambda **k: real(**k, measure=machine.measure))
    assert "ms per token" in run("profile", tiny, "--calibrate")
    again = json.loads(run("profile", tiny, "--json"))
    assert again["machine"]
    assert sum(p["decode_seconds"] or 0 for p in again["parts"]) > 0
    assert "held-out products" in run("profile", tiny)


def test_a_run_gives_measured_times(tiny):
    found = json.loads(run("profile", tiny, "--run", "--prompt", 16, "--context", 16, "--json"))
    assert sum(p["measured_decode_seconds"] or 0 for p in found["parts"]) > 0


def test_python_gives_what_the_command_prints(tiny):
    found = penjing.profile(str(tiny), context=40, prompt=20)
    assert json.loads(run("profile", tiny, "--context", 40, "--prompt", 20, "--json")) == json.loads(
        json.dumps(found.to_json())
    )


@pytest.mark.parametrize("flag", ["--why", "--sensitivity", "--calibrate"])
def test_look_has_no_such_flag(tiny, flag):
    result = CliRunner().invoke(app, ["look", str(tiny), flag])
    assert result.exit_code == 2
    assert flag in result.output
