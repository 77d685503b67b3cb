"""Memory, images, labels, batches and method auto, as a user would type them."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.errors import DataError
from penjing.planning import gathering

SHORT = ["--length", "32", "--rows", "8"]


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = tmp_path_factory.mktemp("vit") / "model"
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=16, patch_size=8,
        num_labels=3,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    draw = np.random.default_rng(0)
    np.savez(path, x=draw.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8), y=np.arange(12) % 3)
    return path


def idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    path.write_bytes(header + values.tobytes())
    return path


@pytest.mark.parametrize(("text", "found"), [("2GB", 2 * 10**9), ("1.5G", 15 * 10**8), ("500MB", 5 * 10**8)])
def test_memory_is_read_as_bytes_are(text, found):
    assert penjing.Run(memory=text).memory == found


def test_little_memory_gives_the_same_plan_block_by_block(tiny, tmp_path, texts, monkeypatch):
    words = ["plan", tiny, "--keep", 0.5, "--text", texts["calibration"], *SHORT, "--json", "--batch", 2]
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "one"))
    whole = json.loads(run(*words, "-o", tmp_path / "whole"))
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "two"))
    made, measure = [], gathering.measure_by_blocks
    monkeypatch.setattr(gathering, "measure_by_blocks", lambda *a, **k: (made.append(k["memory"]), measure(*a, **k))[1])
    parts = json.loads(run(*words, "-o", tmp_path / "parts", "--memory", "100KB"))
    assert made == [100_000]
    assert parts["keeps"] == whole["keeps"]


def test_images_calibrate_a_vision_model(vit, pictures, tmp_path):
    words = ["plan", vit, "-o", tmp_path / "plan", "--keep", 0.5, "--images", pictures, "--rows", 9, "--batch", 4]
    made = json.loads(run(*words, "--json"))["made"]
    assert made["calibration"]["files"] == ["pictures.npz"]
    assert made["calibration"]["rows"] == 9


def test_idx_images_come_with_their_labels(vit, tmp_path):
    draw = np.random.default_rng(1)
    images = idx(tmp_path / "images-idx3-ubyte", draw.integers(0, 256, (8, 16, 16), dtype=np.uint8))
    labels = idx(tmp_path / "labels-idx1-ubyte", (np.arange(8) % 3).astype(np.uint8))
    words = ["plan", vit, "-o", tmp_path / "plan", "--keep", 0.5, "--images", images, "--labels", labels]
    made = json.loads(run(*words, "--rows", 8, "--json"))["made"]
    assert made["calibration"]["rows"] == 8


def test_a_vision_model_without_images_is_told_what_to_give(vit):
    with pytest.raises(DataError, match="images="):
        penjing.plan(vit, keep=0.5)


def test_shrink_of_a_module_takes_batches_from_a_callable():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    batches = [torch.randn(8, 4) for _ in range(3)]
    done = penjing.shrink(net, keep=0.5, settings={"axes": "*"}, data=lambda: iter(batches), example=batches[0])
    assert sum(p.numel() for p in done.module.parameters()) < sum(p.numel() for p in net.parameters())
    listed = penjing.plan(net, keep=0.5, settings={"axes": "*"}, data=batches, example=batches[0])
    assert done.plan.edits == listed.edits


def test_auto_shows_its_table_and_keeps_the_record(tiny, tmp_path, texts):
    words = ["plan", tiny, "-o", tmp_path / "plan", "-m", "auto", "--keep", 0.5, "--text", texts["calibration"], *SHORT]
    shown = run(*words, "--set", "candidates=maw,vow,minitron", "--set", "held_out=6")
    assert "loss added" in shown
    kept = json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))["made"]
    assert {s["name"] for s in kept["tournament"]["standings"]} == {"maw", "vow", "minitron"}
    assert kept["method"] == kept["tournament"]["standings"][0]["name"]


def test_auto_serves_images_too(vit, pictures):
    settings = {"candidates": ("magnitude", "taylor", "minitron"), "random_seeds": 2}
    plan = penjing.plan(vit, method="auto", keep=0.5, settings=settings, images=[pictures], rows=9, batch=4)
    told = plan.made["tournament"]
    assert told["objective"] == "loss"
    assert told["held out"]["examples"] == 3
    assert len(told["standings"]) + len(told["left out"]) == 3


@pytest.mark.parametrize("method", ["amp", "sft"])
def test_images_heal_what_a_cut_left(vit, pictures, tmp_path, method):
    run("shrink", vit, "-o", tmp_path / "cut", "--keep", 0.5, "-m", "magnitude", "--no-measure")
    run(
        "heal", tmp_path / "cut", "--teacher", vit, "-o", tmp_path / "healed", "--method", method, "--images", pictures,
        "--batch", 4, "--tokens", 120, "--learning-rate", 0.002, "--no-measure",
    )  # fmt: skip
    told = json.loads((tmp_path / "healed" / "penjing.json").read_text(encoding="utf-8"))["made"]["healing"]
    assert (told["examples"], told["steps"]) == (120, 30)
    assert told["loss"][1] < told["loss"][0]
