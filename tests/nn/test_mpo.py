"""Chains of cores in the place of layers of several kinds, and of none that does more than multiply."""

import pytest
import torch
from tests.maths.test_tensor_train import naive_matrix
from torch import nn
from transformers.pytorch_utils import Conv1D

from penjing.errors import CheckpointError, PlanError
from penjing.maths.tensor_train import WAYS
from penjing.nn.mpo import Settings, build, dense


def settings(way="matrix", bond=3):
    return Settings(outs="2x1x7", ins="2x2x3", bond=bond, way=way)


def filled(old, way, bias=True):
    """The module for a layer of 13 outputs and 12 inputs, with cores drawn at random."""
    new, generator = build(old, settings(way)), torch.Generator().manual_seed(0)
    for core in new.cores:
        core.data.normal_(generator=generator)
    if bias:
        new.bias.data.normal_(generator=generator)
    return new


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("old", [nn.Linear(12, 13), Conv1D(13, 12)], ids=["linear", "gpt2"])
def test_it_multiplies_by_the_matrix_that_it_shows_as_the_old_layer_would(old, way):
    new = filled(old, way)
    rows = naive_matrix([c.detach() for c in new.cores])[:13]
    x = torch.randn(2, 5, 12)
    wanted = x.double() @ rows.T + new.bias.detach().double()
    torch.testing.assert_close(new(x).detach().double(), wanted, rtol=1e-4, atol=1e-4)
    assert new.weight.shape == old.weight.shape
    shown = new.weight.T if isinstance(old, Conv1D) else new.weight
    torch.testing.assert_close(shown.detach().double(), rows, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("old", [nn.Linear(12, 13), Conv1D(13, 12)], ids=["linear", "gpt2"])
def test_dense_again_it_is_the_stock_layer_that_gives_the_same(old):
    new, x = filled(old, "left"), torch.randn(4, 12)
    old.load_state_dict(dense(old, new.settings, dict(new.state_dict())))
    torch.testing.assert_close(new(x), old(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_made_where_the_old_layer_is_in_its_type_and_exports(way):
    new = build(nn.Linear(12, 13, device="meta", dtype=torch.bfloat16, bias=False), settings(way))
    assert {(p.device.type, p.dtype) for p in new.parameters()} == {("meta", torch.bfloat16)}
    assert new.bias is None
    real = filled(nn.Linear(12, 13), way)
    x = torch.randn(3, 12)
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(real, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(torch.cat([x, x])), real(torch.cat([x, x])))


def test_all_cores_learn():
    new = filled(nn.Linear(12, 13), "right")
    new(torch.randn(4, 12)).square().sum().backward()
    assert all(c.grad is not None and float(c.grad.abs().max()) > 0 for c in new.cores)


class Router(nn.Linear):
    """Looks like a linear layer, and chooses."""

    def forward(self, x):
        return super().forward(x).topk(2)


@pytest.mark.parametrize("old", [Router(12, 13), nn.LayerNorm(12), nn.Conv2d(12, 13, 1)])
def test_a_module_that_does_more_than_multiply_is_refused(old):
    with pytest.raises(PlanError, match=f"a {type(old).__name__} does more than multiply"):
        build(old, settings())


def test_settings_that_make_no_sense_are_refused():
    for wrong, match in (
        ({"outs": "2x0"}, "has the digits"), ({"ins": "2x2"}, "different numbers of digits"),
        ({"bond": 0}, "whole number from 1"), ({"way": "lefft"}, "did you mean 'left'"),
    ):  # fmt: skip
        with pytest.raises(PlanError, match=match):
            Settings(**{"outs": "2x1x7", "ins": "2x2x3", "bond": 2, **wrong})
    with pytest.raises(CheckpointError, match="a Linear has 5 inputs"):
        build(nn.Linear(5, 13), settings())
