"""A product of two in the place of layers of several kinds, and of none that does more than multiply."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from penjing.errors import PlanError
from penjing.nn.low_rank import Settings, build, dense

RANK = Settings(rank=3)


def naive(weight, bias, x):
    """One output at a time: the sum over inputs, and the bias."""
    rows = [[sum(w * v for w, v in zip(row, sample, strict=True)) for row in weight.tolist()] for sample in x.tolist()]
    return torch.tensor(rows) + bias


@pytest.mark.parametrize("old", [nn.Linear(6, 5), Conv1D(5, 6)], ids=["linear", "gpt2"])
def test_it_multiplies_by_its_product_which_it_shows_as_the_old_layer_would(old):
    torch.manual_seed(0)
    new, x = build(old, RANK), torch.randn(4, 6)
    product = new.up.weight @ new.down.weight
    torch.testing.assert_close(new(x).detach(), naive(product, new.up.bias.detach(), x))
    assert new.weight.shape == old.weight.shape
    assert torch.equal(new.weight, product.T if isinstance(old, Conv1D) else product)
    assert new.bias is new.up.bias


@pytest.mark.parametrize(
    ("old", "shape"), [(nn.Linear(6, 5), (2, 6)), (Conv1D(5, 6), (2, 6)), (nn.Conv2d(4, 6, 3), (2, 4, 9, 9))],
    ids=["linear", "gpt2", "convolution"],
)  # fmt: skip
def test_dense_again_it_is_the_stock_layer_that_gives_the_same(old, shape):
    torch.manual_seed(0)
    new, x = build(old, RANK), torch.randn(shape)
    old.load_state_dict(dense(old, RANK, dict(new.state_dict())))
    torch.testing.assert_close(new(x), old(x), rtol=1e-4, atol=1e-5)


def test_a_convolution_keeps_its_window_and_what_stock_code_pads_by():
    old = nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, padding_mode="reflect", bias=False)
    new, x = build(old, RANK), torch.randn(2, 4, 9, 9)
    assert new.bias is None
    assert (new.stride, new.kernel_size, new.dilation) == (old.stride, old.kernel_size, old.dilation)
    old.weight.data = new.weight.detach()
    torch.testing.assert_close(new(x), old(x), rtol=1e-4, atol=1e-5)


def test_it_is_made_where_the_old_layer_is_and_in_its_type():
    new = build(nn.Linear(6, 5, device="meta", dtype=torch.bfloat16), RANK)
    assert {(p.device.type, p.dtype) for p in new.parameters()} == {("meta", torch.bfloat16)}


class Router(nn.Linear):
    """Looks like a linear layer, and chooses."""

    def forward(self, x):
        return super().forward(x).topk(2)


class Table(nn.Module):
    """A matrix that something else is done with."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5, 6))


@pytest.mark.parametrize("old", [Router(6, 5), Table(), nn.LayerNorm(6), nn.ReLU(), nn.ConvTranspose2d(4, 6, 3)])
def test_a_module_that_does_more_than_multiply_is_refused(old):
    with pytest.raises(PlanError, match=f"a {type(old).__name__} does more than multiply"):
        build(old, RANK)


def test_a_convolution_in_groups_is_refused():
    with pytest.raises(PlanError, match="in 2 groups"):
        build(nn.Conv2d(4, 6, 3, groups=2), RANK)
