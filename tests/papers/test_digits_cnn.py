"""The small network for digits and its pictures, without fetching anything."""

import json

import numpy as np
import pytest
import torch
from papers.assets import digits_cnn as assets
from torch import nn

from penjing.layouts import from_module


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Weights of the right shapes and three digits a class, where the fetchers look."""
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    parts = nn.ModuleDict({"features": assets._features(), "classifier": assets._head()})
    torch.save(parts.state_dict(), tmp_path / "w.pth")
    levels = np.random.default_rng(0).integers(0, 256, (10, 3, 28, 28))
    files = []
    for digit, pixels in enumerate(levels):
        files.append(tmp_path / f"{digit}.json")
        files[-1].write_text(json.dumps({"data": [round(p / 255, 3) for p in pixels.flatten().tolist()]}))
    monkeypatch.setattr(assets, "fetch_asset", lambda name: {"ccexam-mnist": tmp_path / "w.pth"}[name])
    monkeypatch.setattr(assets, "fetch_all", lambda wanted: files)
    return levels


def test_the_network_has_the_stated_size_and_can_be_cut_in_three_axes(shelf):
    net = assets.digits_cnn()
    assert sum(p.numel() for p in net.parameters()) == 421_642
    assert not net.training
    layout = from_module(net, torch.zeros(1, 1, 28, 28))
    assert [a.size for a in layout.match("channels,neurons")] == [32, 64, 128]


def test_three_digits_after_the_point_give_every_grey_level_back(shelf):
    text = json.dumps({"data": [round(v / 255, 3) for v in range(256)] * 49})
    assert assets.grey_levels(text).reshape(-1).tolist() == list(range(256)) * 49


def test_digits_come_by_class_and_from_the_cache_the_second_time(shelf, monkeypatch):
    first = assets.mnist_digits()
    monkeypatch.setattr(assets, "fetch_all", lambda wanted: pytest.fail("fetched again"))
    again = assets.mnist_digits()
    assert first.labels.tolist() == again.labels.tolist() == [d for d in range(10) for _ in range(3)]
    assert torch.equal(again.pixels[..., 0], torch.from_numpy(shelf.reshape(30, 28, 28).astype(np.uint8)))


def test_ten_files_are_pinned_one_a_digit():
    assert [p.member for p in assets.MNIST] == [f"src/digits/{d}.json" for d in range(10)]
    assert len({p.sha256 for p in assets.MNIST}) == 10
