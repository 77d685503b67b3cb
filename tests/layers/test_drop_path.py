"""Stochastic depth."""

import torch

from penjing.layers.drop_path import DropPath


def test_it_does_nothing_in_evaluation():
    x = torch.randn(5, 3, 2)
    assert DropPath(0.9).eval()(x) is x


def test_whole_examples_go_and_the_mean_stays():
    torch.manual_seed(0)
    out = DropPath(0.25)(torch.ones(40_000, 2, 3)).flatten(1)
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (out == out[:, :1]).all()
    assert abs(out.mean().item() - 1) < 0.02
