"""What --json prints has the keys that the reference page lists."""

import json
import re

import numpy as np
import pytest
from tests.house import tree
from tests.house.tiny import tiny_model
from typer.testing import CliRunner

from penjing.cli import app

PAGE = (tree.ROOT / "docs" / "look-up" / "json-keys.md").read_text(encoding="utf-8")


def documented(heading: str) -> set[str]:
    section = PAGE.split(f"\n## penjing {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Command line -> what it printed, read as JSON; each is run once, in a folder with a tiny model."""
    home = tmp_path_factory.mktemp("json")
    tiny_model(home / "model")
    known = {}

    def run(*arguments: str):
        if arguments not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(home)
                patch.setenv("PENJING_CACHE", str(home / "cache"))
                done = CliRunner().invoke(app, [*arguments, "--json"])
            assert done.exit_code == 0, done.stderr
            known[arguments] = json.loads(done.stdout)
        return known[arguments]

    return run


def test_look(said):
    assert set(said("look", "model")) == documented("look")


def test_profile(said):
    assert set(said("profile", "model")) == documented("profile")


def test_sensitivity(said):
    quick = ("--method", "maw", "--fraction", "0.5", "--set", "multiple=1", "--held-out", "2", "--length", "16")
    assert set(said("sensitivity", "model", *quick)) == documented("sensitivity")


def test_layout(said):
    assert set(said("layout", "model")) == documented("layout")


def test_methods(said):
    assert set(said("methods", "maw")) == documented("methods")
    assert [m["name"] for m in said("methods")]


def test_papers(said):
    assert set(said("papers", "maw")) == documented("papers")
    assert set(said("papers")) == {"papers", "studies"}


def test_plan_and_apply(said):
    assert set(said("plan", "model", "-o", "plan", "--method", "maw")) == documented("plan")
    assert set(said("apply", "model", "plan", "-o", "applied")) == documented("apply")


def test_study(said, tmp_path):
    np.savez(tmp_path / "pictures.npz", x=np.zeros((30, 4, 4), np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None],
             y=np.arange(30) % 2)  # fmt: skip
    settings = '{images = "pictures.npz", hidden = [], steps = 1, batch = 4}'
    (tmp_path / "study.toml").write_text(f'out = "out"\nexperiment = "small_network"\nsettings = {settings}\n')
    assert set(said("study", "run", str(tmp_path / "study.toml"))) == documented("study")


SOMETIMES = {"file_bytes", "dtype_bytes"}
"""Figures of models that lay on disk otherwise than they are written: a GGUF file, another type."""


def test_measure_without_speed(said):
    timed = {"decode_seconds_per_token", "prefill_seconds", "peak_memory_bytes"}
    wanted = documented("measure, compare, shrink, demo") - timed - SOMETIMES
    found = said("measure", "model", "--no-speed")
    assert wanted - set(found) == set()
    assert found["perplexity"] > 1


@pytest.mark.nightly  # times are measured
def test_measure_with_speed(said):
    assert documented("measure, compare, shrink, demo") - set(said("measure", "model")) == SOMETIMES
