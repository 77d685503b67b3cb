"""Pictures that may be left out: against random choices, decided and told on parts of their own."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.data.images import from_arrays
from penjing.errors import BudgetError, DataError, UnsupportedError
from penjing.pipeline.data_pruning import Wish, prune_data


def pictures(count=300, noise=40, classes=3):
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    pixels = torch.zeros(count, 6, 6, 1)
    for c in range(classes):
        pixels[labels == c, 2 * c : 2 * c + 2] = 150
    pixels = (pixels + noise * torch.randn(pixels.shape, generator=g)).clamp(0, 255).to(torch.uint8)
    return from_arrays(pixels.numpy(), labels.numpy(), source="made")


def test_kept_and_dropped_are_the_scored_part():
    found = prune_data(pictures(), Wish(keep=0.5, seeds=3, steps=60))
    assert len(found.kept) == 90
    assert len(found.kept) + len(found.dropped) == found.scored == 180
    assert not set(found.kept) & set(found.dropped)
    assert {a.end for a in found.decided} == {"hard", "easy"}
    assert found.end == max(found.decided, key=lambda a: a.gain).end
    assert sum(kept for _, kept in found.classes.values()) == 90
    assert all(kept >= 0.25 * there - 1 for there, kept in found.classes.values())
    assert found.told.low <= found.told.gain <= found.told.high
    assert found.to_json()["told"]["end"] == found.end


@pytest.mark.parametrize("score", ["el2n", "random"])
def test_every_score_can_be_asked_for_and_the_same_comes_out_again(score):
    wish = Wish(keep=0.7, seeds=2, steps=40, score=score, end="hard")
    assert prune_data(pictures(), wish) == prune_data(pictures(), wish)


def test_what_hurts_is_refused():
    """A fifth of the labels are wrong, and those examples are the hardest: keeping them is worse than chance."""
    base = pictures(count=900, noise=10)
    labels = base.labels.clone()
    wrong = torch.randperm(900, generator=torch.Generator().manual_seed(1))[:180]
    labels[wrong] = (labels[wrong] + 1) % 3
    noisy = from_arrays(base.pixels.numpy(), labels.numpy(), source="made")
    wish = Wish(keep=0.25, score="el2n", end="hard", seeds=3, steps=200)
    with pytest.raises(UnsupportedError, match=r"makes networks worse than a random choice: -0\.\d+ accuracy"):
        prune_data(noisy, wish)
    allowed = prune_data(noisy, replace(wish, anyway=True))
    assert any("30 %" in n for n in allowed.notes)


def test_a_share_out_of_range_is_refused():
    with pytest.raises(BudgetError, match="above 0 and below 1"):
        prune_data(pictures(), Wish(keep=1.0))
    with pytest.raises(BudgetError, match="more than all together"):
        prune_data(pictures(), Wish(keep=0.8, trim=0.9))


def test_pictures_that_cannot_tell_anything_are_refused():
    with pytest.raises(DataError, match="found 60 pictures of 1 classes"):
        prune_data(pictures(count=60, classes=1), Wish(keep=0.5))
    with pytest.raises(DataError, match="found 9 pictures of 3 classes"):
        prune_data(pictures(count=9), Wish(keep=0.5))


def test_the_command_writes_what_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = pictures()
    np.savez("pictures.npz", x=found.pixels.numpy(), y=found.labels.numpy())
    line = ["data", "prune", "pictures.npz", "--keep", "0.5", "--pairs", "2", "--steps", "40", "-o", "kept.json"]
    said = CliRunner().invoke(app, line)
    assert said.exit_code == 0, said.stderr
    assert "90 of 180 pictures stay" in said.stdout
    told = json.loads((tmp_path / "kept.json").read_text())
    assert len(told["kept"]) == 90
    again = CliRunner().invoke(app, line)
    assert again.exit_code == 1
    assert "is there already" in again.stderr


def test_features_of_an_encoder_can_be_looked_at(tmp_path, monkeypatch):
    import transformers

    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    config = transformers.ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4,
    )  # fmt: skip
    transformers.ViTModel(config).save_pretrained(tmp_path / "encoder")
    transformers.ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(tmp_path / "encoder")
    g = np.random.default_rng(0)
    np.savez(tmp_path / "p.npz", x=g.integers(0, 255, (60, 8, 8, 3)).astype(np.uint8), y=np.arange(60) % 2)
    found = penjing.prune_data(
        tmp_path / "p.npz", encoder=tmp_path / "encoder", keep=0.5, pairs=2, steps=10, anyway=True, progress=False
    )
    assert len(found.kept) == 18
