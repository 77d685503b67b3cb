"""Shapes of one size, each healed and ranked; kept, repeated, refused."""

import json

import pytest
import torch
from tests.evaluate.models import llama
from tests.pipeline.healing_home import home, no_fresh_process
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.errors import BudgetError, DataError, RequestError
from penjing.pipeline import shape_search
from penjing.pipeline.request import Data, Heal

__all__ = ["home", "no_fresh_process"]
HOW = {"tokens": 640, "length": 32}


def found(home, limit=25_000, **more):
    given = {"how": Heal(**HOW), "texts": [home / "text.txt"], "data": Data(rows=4, length=32), "candidates": 3}
    return penjing.search_shapes(home / "tiny", limit, progress=False, **{**given, "tolerance": 0.2, **more})


def naive_divergence(whole, other, ids):
    """KL of each row, token by token, from probabilities written out."""
    out = []
    for row in ids:
        with torch.inference_mode():
            p, q = (m(row[None]).logits[0].double().softmax(1) for m in (whole, other))
        out.append(float(sum((p[t] * (p[t] / q[t]).log()).sum() for t in range(len(row))) / len(row)))
    return out


def test_divergences_are_those_written_out():
    whole, other = llama(), llama(seed=1)
    ids = torch.randint(37, (4, 9), generator=torch.Generator().manual_seed(0))
    expected = naive_divergence(whole, other, ids)
    assert shape_search.divergences(whole, other, [ids[:3], ids[3:]]).tolist() == pytest.approx(expected, rel=1e-4)


def test_shapes_are_ranked_by_what_is_left_after_healing(home, monkeypatch):
    one = found(home)
    assert [t.after for t in one.tried] == sorted(t.after for t in one.tried)
    assert one.tried[0].verdict == "best"
    assert len({t.shape for t in one.tried}) == len(one.tried) == 3
    assert all(abs(t.parameters - 25_000) <= 5000 for t in one.tried)
    assert all(t.after < t.before for t in one.tried), "healing brings each nearer to the whole model"
    assert one.tokens == 640
    monkeypatch.setattr(shape_search, "_try", lambda *_: pytest.fail("what was tried is tried again"))
    again = found(home)
    assert again.tried == one.tried
    assert again.tau == one.tau


def test_the_best_shape_is_had_by_shrink(home, tmp_path):
    best = found(home).tried[0]
    done = penjing.shrink(
        home / "tiny", tmp_path / "out", method="minitron", settings={"shape": best.shape}, measure=False,
        texts=[home / "text.txt"], data=Data(rows=4, length=32, texts=(str(home / "text.txt"),)), progress=False,
    )  # fmt: skip
    assert penjing.look(tmp_path / "out").parameters == best.parameters
    assert done.plan.made["settings"]["shape"] == best.shape


def test_the_command_line_says_how_to_use_it(home, monkeypatch):
    monkeypatch.chdir(home)
    line = [
        "search", "shapes", "tiny", "--limit-parameters", "25K", "--candidates", "3", "--tolerance", "0.2",
        "--heal-tokens", "640", "--heal-length", "32", "--heal-text", "text.txt",
        "--rows", "4", "--length", "32",
    ]  # fmt: skip
    said = CliRunner().invoke(app, line)
    assert said.exit_code == 0, said.stderr
    assert "to use it: penjing shrink tiny -o smaller --method minitron --set shape=" in said.stdout
    told = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)
    assert len(told["tried"]) == 3
    assert told["tried"][0]["behind"] is None


def test_what_cannot_be_ranked_is_refused(home):
    with pytest.raises(RequestError, match="on the same tokens; give tokens"):
        found(home, how=Heal(minutes=1))
    with pytest.raises(BudgetError, match="no shape of"):
        found(home, 10)
    with pytest.raises(DataError, match="rows of the text to hold out"):
        found(home, how=Heal(tokens=64, length=512))
