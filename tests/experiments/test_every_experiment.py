"""What is asked of every experiment, and what those that ship give on small data."""

import dataclasses

import numpy as np
import pytest
from tests.house.tiny import tiny_model

from penjing.core.experiment import Figure
from penjing.errors import DataError, PenjingError, RequestError
from penjing.experiments import EXPERIMENTS, figures_of
from penjing.studies import carry, read_study

PICTURES = ("small_network",)


@pytest.fixture
def pictures(tmp_path):
    """120 pictures of 6 x 6 in three classes, told apart by which third is bright."""
    draw = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = draw.integers(0, 80, (120, 6, 6), dtype=np.uint8)
    for i, label in enumerate(labels):
        pixels[i, 2 * label : 2 * label + 2] += 100
    np.savez(tmp_path / "pictures.npz", x=pixels, y=labels)
    return tmp_path / "pictures.npz"


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_it_is_complete(name):
    of = EXPERIMENTS.type_of(name)
    assert of.__dataclass_params__.frozen
    assert all(f.kw_only for f in dataclasses.fields(of))
    assert EXPERIMENTS.summaries()[name].endswith(".")
    told = figures_of(name)
    assert told
    assert all(isinstance(f, Figure) and f.label for f in told.values())
    assert {f.over for f in told.values() if f.over} <= set(told)


def test_a_small_network_alone_and_stacked_gives_the_same(pictures):
    quick = {"images": str(pictures), "hidden": (8,), "steps": 30, "batch": 10}
    one = EXPERIMENTS.build("small_network", {**quick, "learning_rate": 0.01})
    two = EXPERIMENTS.build("small_network", {**quick, "learning_rate": 0.003})
    assert one.shape == two.shape
    assert one.shape != EXPERIMENTS.build("small_network", {**quick, "steps": 31}).shape
    together = type(one).together([(one, 0), (two, 0), (one, 1)])
    for (of, seed), found in zip([(one, 0), (two, 0), (one, 1)], together, strict=True):
        alone = of.run(seed)
        assert {k: pytest.approx(v, abs=1e-5) for k, v in alone.items()} == found
    assert together[0]["accuracy"] == 1.0
    assert together[0]["loss"] < together[1]["loss"]
    assert together[0]["parameters"] == 36 * 8 + 8 + 8 * 3 + 3


def test_a_small_network_with_convolutions(pictures):
    found = EXPERIMENTS.build(
        "small_network", {"images": str(pictures), "channels": (3,), "hidden": (), "steps": 60, "batch": 10}
    ).run(0)
    assert found["parameters"] == 25 * 3 + 3 + 3 * 9 * 3 + 3
    assert found["accuracy"] > 0.9


def test_parts_that_would_be_empty_are_refused(pictures):
    with pytest.raises(DataError, match="needed shares above 0"):
        EXPERIMENTS.build("small_network", {"images": str(pictures), "tested": 0.0}).run(0)
    with pytest.raises(RequestError, match="schedule is 'cosin'; did you mean 'cosine'"):
        EXPERIMENTS.build("small_network", {"images": str(pictures), "schedule": "cosin"})


@pytest.mark.slow  # a model is shrunk and measured for each run
def test_a_study_of_recipes(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    tiny_model(tmp_path / "model")
    (tmp_path / "recipe.toml").write_text(
        '[source]\nmodel = "model"\n[choice]\nmethod = "maw"\nkeep = 0.5\n'
        "[measure]\nspeed = false\nanswers = false\nlength = 16\n"
    )
    text = 'out = "out"\nexperiment = "shrink"\nseeds = 2\n[settings]\nrecipe = "recipe.toml"\n'
    (tmp_path / "study.toml").write_text(text + '[grid]\nchoice.method = ["maw", "random"]\n')
    done = carry(read_study(tmp_path / "study.toml"))
    assert not [r.error for r in done.rows if r.error]
    perplexities = {(r.setting, r.seed): r.figures["perplexity"] for r in done.rows}
    assert perplexities["method maw", 0] == perplexities["method maw", 1], "magnitude draws nothing"
    assert perplexities["method random", 0] != perplexities["method random", 1]
    assert len({r.figures["perplexity_original"] for r in done.rows}) == 1
    assert {r.figures["parameters"] for r in done.rows} == {done.rows[0].figures["parameters"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('experiment = "shrink"\n[settings]\nrecipe = "none.toml"\n', r"none\.toml cannot be read"),
        ('experiment = "small_network"\n[settings]\nimages = "none.npz"\n', r"nothing is at .*none\.npz"),
    ],
)
def test_a_place_with_nothing_there_is_refused_before_anything_is_written(tmp_path, text, said):
    (tmp_path / "study.toml").write_text('out = "out"\n' + text)
    with pytest.raises(PenjingError, match=said):
        carry(read_study(tmp_path / "study.toml"))
    assert not (tmp_path / "out").exists()
