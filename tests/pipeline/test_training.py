"""A network is trained as a recipe says: the folder, the figures; killed and gone on; on several processes."""

import json
import signal
from hashlib import sha256

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.house.tiny import tiny_model
from tests.train.processes import ended, forked, said
from tests.train.test_resume import in_child, kill_at
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.errors import OutputError, PenjingError, RequestError, UnsupportedError
from penjing.pipeline.train_recipe import read_training
from penjing.pipeline.training import Lesson, prepared
from penjing.pipeline.training_result import accuracy, wilson
from penjing.train.keeper import Keeper

RECIPE = """
seed = 1
[model]
name = "scaling_mlps"
settings = {image_size = 6, num_channels = 1, hidden_size = 12, intermediate_size = 24, num_hidden_layers = 2}
[data]
images = "pictures.npz"
held_out = 0.25
[train]
examples = 960
batch = 16
learning_rate = 0.005
"""
CHANGED = "[augment]\ncrop = 1\nflip = true\nmixup = 0.2\ncutmix = 1.0\nerase = 0.2\n[loop]\nema = 0.9\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """120 pictures of 6 x 6 in three classes, told apart by which third is bright."""
    draw = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = draw.integers(0, 80, (120, 6, 6), dtype=np.uint8)
    for i, label in enumerate(labels):
        pixels[i, 2 * label : 2 * label + 2] += 100
    np.savez(tmp_path / "pictures.npz", x=pixels, y=labels, names=np.array(["top", "middle", "bottom"]))
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    return tmp_path


def recipe(home, more="", text=RECIPE):
    path = home / "train.toml"
    path.write_text(text + more, encoding="utf-8")
    return path


def train(home, out="out", more="", text=RECIPE, **how):
    return penjing.train_model(recipe(home, more, text), home / out, progress=False, **how)


def bits(folder):
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_pictures_are_learnt_and_the_folder_is_like_any_other(home):
    done = train(home, more="[judge]\nviews = ['flip']\n")
    figures = {f.name: f for f in done.report.subjects[0].figures}
    assert figures["accuracy"].value > 0.9
    assert figures["accuracy"].chance == pytest.approx(1 / 3)
    assert figures["accuracy"].n == 30
    assert figures["accuracy_of_views"].value > 0.9
    assert [p.name for p in home.iterdir() if p.name.startswith(".")] == []
    config = json.loads((home / "out" / "config.json").read_text())
    assert config["id2label"] == {"0": "top", "1": "middle", "2": "bottom"}
    lines = (home / "out" / "training.jsonl").read_text().splitlines()
    assert len(lines) == 60
    card = (home / "out" / "README.md").read_text(encoding="utf-8")
    assert "0.3333" in card
    assert "model = penjing.load" in card
    assert str(home) not in card + (home / "out" / "report.html").read_text(encoding="utf-8")
    opened = penjing.load(home / "out")
    data = prepared(read_training(home / "train.toml")).data
    pixels, labels = data.held_out(30)[0]
    right = (opened(pixels).logits.argmax(1) == labels).double().mean()
    assert float(right) == pytest.approx(figures["accuracy"].value)


def test_a_killed_run_goes_on_to_the_same_bits(home, monkeypatch):
    train(home, "whole", CHANGED)
    monkeypatch.setattr(Keeper, "due", lambda self: True)

    def dies():
        Keeper.save = kill_at(20, Keeper.save)
        train(home, "out", CHANGED)

    assert in_child(dies) == signal.SIGKILL
    train(home, "out", CHANGED)
    assert bits(home / "out") == bits(home / "whole")


def test_two_processes_train_as_one(home):
    train(home, "one", CHANGED)
    codes = ended(forked(lambda: train(home, "two", CHANGED), 2, home), limit=400)
    assert codes == [0, 0], said(home) + said(home, 1)
    one, two = (load_file(home / n / "model.safetensors") for n in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-4, rtol=0)
    told = [json.loads((home / n / "penjing.json").read_text())["trained"] for n in ("one", "two")]
    assert [t["processes"] for t in told] == [1, 2]
    assert told[0]["loss"] == pytest.approx(told[1]["loss"], abs=1e-5)


def test_what_is_asked_again_is_known_and_what_is_other_is_refused(home):
    train(home)
    before = bits(home / "out")
    with pytest.raises(OutputError, match="finished"):
        train(home)
    with pytest.raises(OutputError, match="another result"):
        train(home, text=RECIPE.replace("seed = 1", "seed = 2"))
    train(home, text=RECIPE.replace("seed = 1", "seed = 2"), force=True)
    assert bits(home / "out") != before


def test_a_language_model_from_a_config(home):
    tiny_model(home / "tiny")
    (home / "text.txt").write_text("the tide comes in and the tide goes out again; " * 60, encoding="utf-8")
    done = train(home, text="""
[model]
config = "tiny/config.json"
[data]
texts = ["text.txt"]
tokenizer = "tiny"
length = 32
[train]
tokens = "8K"
batch = 4
learning_rate = 0.01
[loop]
optimiser = "adamw"
""")
    figure = done.report.subjects[0].figure("perplexity")
    assert figure.value < 0.5 * figure.chance
    assert figure.details["interval"]["low"] < figure.value < figure.details["interval"]["high"]
    penjing.measure(home / "out", texts=[home / "text.txt"], speed=False, length=32, progress=False)


def test_a_checkpoint_is_trained_on_and_tensors_are_read(home):
    train(home)
    x = torch.rand(60, 1, 6, 6)
    save_file({"inputs": x, "labels": (x.mean((1, 2, 3)) > 0.5).long()}, home / "tensors.safetensors")
    text = "[model]\ncheckpoint = 'out'\n[data]\ntensors = 'tensors.safetensors'\n[train]\nsteps = 3\nbatch = 8\n"
    done = train(home, "again", text=text)
    before, after = (load_file(home / n / "model.safetensors") for n in ("out", "again"))
    assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert done.report.subjects[0].figure("accuracy").n == 6


def test_each_pass_has_every_example_once_in_another_order(home):
    found = prepared(read_training(recipe(home, text=RECIPE.replace("batch = 16", "batch = 15"))))
    seen = []
    take = found.data.take
    object.__setattr__(found.data, "take", lambda places, draw: (seen.append(places.tolist()), take(places, draw))[1])
    lesson = Lesson(found)
    for step in range(12):
        found.run.step = step
        lesson(step % 6)
    first, second = ([p for one in seen[i : i + 6] for p in one] for i in (0, 6))
    assert sorted(first) == sorted(second) == list(range(90))
    assert first != second


def test_mup_is_set_up_and_folded_away(home):
    narrow = "[mup]\nbase = {hidden_size = 6, intermediate_size = 12}\n"
    done = train(home, "wide", narrow)
    assert done.report.subjects[0].figure("accuracy").value > 0.6
    found = prepared(read_training(home / "train.toml"))
    factors = found.run.factors
    assert factors["blocks.0.up.weight"] == 0.5
    assert factors["inputs.weight"] == factors["classifier.weight"] == 1.0
    pixels, labels = found.data.held_out(30)[0]
    right = (penjing.load(home / "wide")(pixels).logits.argmax(1) == labels).double().mean()
    assert float(right) == pytest.approx(done.report.subjects[0].figure("accuracy").value)


def test_at_the_base_s_own_widths_mup_is_the_plain_network(home):
    train(home, "plain")
    train(home, "base", "[mup]\nbase = {hidden_size = 12, intermediate_size = 24}\n")
    one, two = (load_file(home / n / "model.safetensors") for n in ("plain", "base"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-6, rtol=0)


def test_mup_refuses_what_it_could_not_save(home):
    tiny_model(home / "tiny")
    (home / "text.txt").write_text("the tide comes in and the tide goes out again; " * 60, encoding="utf-8")
    text = "[model]\nconfig = 'tiny/config.json'\n[data]\ntexts = ['text.txt']\ntokenizer = 'tiny'\nlength = 32\n"
    text += "[train]\nsteps = 2\nbatch = 4\n[mup]\nbase = {hidden_size = 16, intermediate_size = 64, head_dim = 4}\n"
    with pytest.raises(UnsupportedError, match=r"keep a head's width|tie_word_embeddings = false"):
        train(home, text=text)
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("batch = 16", "batsch = 16"), r"\[train\] has the unknown key 'batsch'; did you mean 'batch'"),
        (("[train]", "[augmnt]\ncrop = 1\n[train]"), "the unknown key 'augmnt'; did you mean 'augment'"),
        (("held_out = 0.25", "held_out = 0.25\nbatch = 3"), "'batch', which belongs in \\[train\\]"),
        (("examples = 960", "examples = 960\nsteps = 3"), "the budget is one of .*; found steps and examples"),
        (("held_out = 0.25", "held_out = 1.5"), "held_out is 1.5"),
        (("batch = 16", "batch = 1600"), "1600 examples, and there are 90"),
        (("examples = 960", "tokens = 960"), "tokens are counted, and the data have none"),
        (("seed = 1", "seed = 'one'"), "seed is 'one'; needed a whole number"),
        (("[train]", "[judge]\nviews = ['flp']\n[train]"), "no view 'flp'; did you mean 'flip'"),
        (("seed = 1", "version = 9"), "is of version 9"),
        (("scaling_mlps", "scalling_mlps"), "did you mean 'scaling_mlps'"),
    ],
)  # fmt: skip
def test_a_poor_recipe_is_refused_with_the_reason_and_nothing_is_written(home, change, said):
    with pytest.raises(PenjingError, match=said):
        train(home, text=RECIPE.replace(*change))
    assert sorted(p.name for p in home.iterdir()) == ["pictures.npz", "train.toml"]


def test_an_unknown_setting_of_the_loop_is_refused(home):
    with pytest.raises(RequestError, match="no setting 'optimizer'; did you mean 'optimiser'"):
        train(home, more="[loop]\noptimizer = 'lion'\n")


def test_the_command_does_the_same(home):
    train(home, "called", "[loop]\noptimiser = 'lion'\n")
    done = CliRunner().invoke(app, ["train", str(home / "train.toml"), "-o", str(home / "typed"), "--json"])
    assert done.exit_code == 0, done.output
    assert bits(home / "typed") == bits(home / "called")
    told = json.loads(done.stdout)
    assert told["models"][0]["name"] == "typed"
    assert 0 < told["accuracy"] <= 1
    again = CliRunner().invoke(app, ["train", str(home / "train.toml"), "-o", str(home / "typed")])
    assert "nothing was done" in again.output


def test_wilson_s_interval_is_where_the_score_test_ends():
    """At its ends the share lies 1.96 standard errors of the end away."""
    found = wilson(0.9, 50)
    for end in (found["low"], found["high"]):
        assert abs(0.9 - end) == pytest.approx(1.959964 * (end * (1 - end) / 50) ** 0.5)
    assert accuracy("x", torch.ones(30, dtype=torch.bool), 3).details["interval"]["low"] < 0.9
