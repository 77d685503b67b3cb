"""The coordinate check of a recipe: layers by the rules move alike at all widths, and the plain ones do not."""

import json
import math

import pytest
import torch
from tests.house import tree
from tests.pipeline.test_training import RECIPE, home, recipe  # noqa: F401 - a fixture is found by its name
from typer.testing import CliRunner

import penjing
from penjing.api.train import check_coordinates
from penjing.cli import app
from penjing.errors import OutputError, PenjingError, RequestError
from penjing.maths.log_slope import Slope
from penjing.pipeline.coordinates import coordinates, verdict_on
from penjing.pipeline.networks import widened
from penjing.pipeline.train_recipe import read_training, with_base
from penjing.pipeline.training import prepared
from penjing.report.coordinates import coordinates_html

BASE = ("--mup", "hidden_size=8", "--mup", "intermediate_size=16")


@pytest.fixture
def found(home):  # noqa: F811
    asked = with_base(read_training(recipe(home)), {"hidden_size": 8, "intermediate_size": 16})
    return coordinates(asked, times=(1, 2, 4, 8, 16), seeds=2, steps=3)


def test_hidden_layers_grow_as_they_are_and_not_by_the_rules(found):
    hidden = [m for m in found.modules if m.endswith((".up", ".down"))]
    plain, ruled = ([found.slope(w, m, "change") for m in hidden] for w in ("standard", "mup"))
    assert min(s.value for s in plain) > 0.3
    assert found.verdict("standard", "classifier") == "growing"
    assert max(abs(s.value) for s in ruled) < min(s.value for s in plain)
    assert found.slope("mup", "classifier", "change").value < 0.3


def test_at_the_base_s_widths_both_ways_are_the_same_network(found):
    for module in found.modules:
        one, two = ([c.change for c in found.of(w, module) if c.width == 1] for w in ("standard", "mup"))
        assert one == pytest.approx(two, rel=1e-4)


def test_the_change_is_that_of_a_loop(found, home):  # noqa: F811
    asked = read_training(recipe(home))
    start = prepared(asked)
    batch = start.data.take(torch.arange(16), torch.Generator().manual_seed(asked.seed)).batch
    mup = with_base(asked, {"hidden_size": 8, "intermediate_size": 16}).mup
    net = widened(asked.model, start.entries, mup, 2, seed=asked.seed)
    before = net.eval()(batch[0]).logits.detach()
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.005, weight_decay=0.0)
    for _ in range(3):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net.train()(batch[0]).logits, batch[1]).backward()
        optimiser.step()
    moved = float((net.eval()(batch[0]).logits - before).abs().mean().detach())
    assert next(c.change for c in found.of("standard", "classifier") if c.width == 2) == pytest.approx(moved, rel=1e-4)


def test_the_page_names_every_layer_and_the_figures_are_json(found):
    page = coordinates_html(found)
    assert all(f">{m}<" in page for m in found.modules)
    assert "<script" not in page
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    page = (tree.ROOT / "docs" / "look-up" / "json-keys.md").read_text(encoding="utf-8")
    listed = page.split("## penjing train --coordinate-check\n")[1].split("\n## ")[0]
    assert all(f"`{key}`" in listed for key in told)
    first = told["ways"]["mup"][0]
    assert [s["step"] for s in first["steps"]] == [0, 1, 2, 3]
    assert first["steps"][0]["change"] is None
    assert len(first["after"]) == 10


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.0, -0.1, 0.1), "flat"), ((0.5, 0.2, 0.8), "growing"), ((-0.5, -0.8, -0.2), "falling"),
        ((0.2, 0.1, 0.3), "unclear"), ((0.0, -0.3, 0.3), "unclear"), ((math.nan,) * 3, "not finite"),
    ],
)  # fmt: skip
def test_a_verdict_asks_for_the_whole_interval(ends, said):
    assert verdict_on(Slope(value=ends[0], low=ends[1], high=ends[2])) == said


def test_the_command_writes_a_page_and_its_figures(home):  # noqa: F811
    place = recipe(home)
    done = CliRunner().invoke(app, ["train", str(place), *BASE, "--coordinate-check", "-o", str(home / "c.html")])
    assert done.exit_code == 0, done.stderr
    assert "Layers whose change" in done.stdout
    assert (home / "c.html").is_file()
    assert json.loads((home / "c.json").read_text())["times"] == [1, 2, 4, 8, 16]
    assert not (home / "out").exists()


def test_the_flag_stands_for_the_table(home):  # noqa: F811
    asked = recipe(home, text=RECIPE.replace("examples = 960", "steps = 3"))
    done = CliRunner().invoke(app, ["train", str(asked), *BASE, "-o", str(home / "flag")])
    assert done.exit_code == 0, done.stderr
    table = "[mup]\nbase = {hidden_size = 8, intermediate_size = 16}\n"
    asked = recipe(home, table, RECIPE.replace("examples = 960", "steps = 3"))
    penjing.train_model(asked, home / "table", progress=False)
    names = [home / n / "model.safetensors" for n in ("flag", "table")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_what_does_not_serve_is_refused(home):  # noqa: F811
    plain = read_training(recipe(home))
    with pytest.raises(RequestError, match="nothing says which widths are to grow; give the base's, as --mup"):
        coordinates(plain)
    based = with_base(plain, {"hidden_size": 8, "intermediate_size": 16})
    with pytest.raises(RequestError, match="needed two widths"):
        coordinates(based, times=(1,))
    with pytest.raises(OutputError, match="name a page"):
        check_coordinates(based, home / "c.json", progress=False)
    with pytest.raises(PenjingError, match="hidden_size"):
        with_base(plain, {"hidden_size": -8})
    assert not (home / "c.json").exists()
