"""`penjing look --why`, as a user would type it."""

import json

import pytest
from tests.profiling.roofline import machine
from typer.testing import CliRunner

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


def test_why_is_text_that_says_what_zeros_do(tiny):
    said = run("look", tiny, "--why")
    for phrase in ("where it goes", "mlp", "which cut would pay", "neurons in each block", "why zeros alone do not",
                   "before", "1.00x", "--calibrate does it"):  # fmt: skip
        assert phrase in said


def test_why_is_one_key_beside_the_others(tiny):
    plain, seen = json.loads(run("look", tiny, "--json")), json.loads(run("look", tiny, "--why", "--json"))
    assert set(seen) - set(plain) == {"why"}
    why = seen["why"]
    assert set(why) == {
        "name", "tokens", "context", "dtype", "itemsize", "step_bytes", "parts", "cuts", "zeros", "cut_out", "machine",
        "notes",
    }  # fmt: skip
    assert why["zeros"]["weights"] == plain["parameters"]
    assert why["parts"][0]["decode_seconds"] is None


def test_a_config_alone_is_enough(tiny, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    assert "which cut would pay" in run("look", tmp_path, "--why")


def test_calibrating_once_gives_times_from_then_on(tiny, monkeypatch):
    real = roofline.calibrate
    monkeypatch.setattr(roofline, "calibrate", lambda **k: real(**k, measure=machine.measure))
    assert "ms per token" in run("look", tiny, "--why", "--calibrate")
    again = json.loads(run("look", tiny, "--why", "--json"))["why"]
    assert again["machine"]
    assert sum(p["decode_seconds"] or 0 for p in again["parts"]) > 0
    assert "held-out products" in run("look", tiny, "--why")


def test_a_run_gives_measured_times(tiny):
    found = json.loads(run("look", tiny, "--why", "--run", "--prompt", 16, "--context", 16, "--json"))["why"]
    assert sum(p["measured_decode_seconds"] or 0 for p in found["parts"]) > 0


def test_calibrating_without_asking_why_is_refused(tiny):
    result = CliRunner().invoke(app, ["look", str(tiny), "--calibrate"])
    assert result.exit_code == 2
    assert "belong to --why" in result.output
