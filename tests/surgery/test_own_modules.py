"""Modules of one's own: attributes follow, and what does not equal its mask is refused."""

import pytest
import torch
from torch import Tensor, nn

from penjing.core import Keep, Plan
from penjing.errors import PlanError
from penjing.layouts import from_module
from penjing.surgery import apply, masked
from penjing.surgery.outputs import run


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.depth = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.group = nn.GroupNorm(4, 12)
        self.mix = nn.Conv2d(12, 10, 1)
        self.head = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depth(self.norm(self.stem(x)).relu())
        return self.head(self.mix(self.group(x)).relu().mean((2, 3)))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = 4
        self.qkv = nn.Linear(12, 3 * 4 * 5)
        self.out = nn.Linear(20, 12)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (t.view(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 11, num_layers=2, batch_first=True)
        self.head = nn.Linear(11, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0])


class Fixed(nn.Module):
    """Its forward pass has a size written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).relu().reshape(-1, 8))


def halves(layout):
    return [(a.name, tuple(range(0, a.size, 2))) for a in layout.axes.values() if a.state == "free" and a.size > 1]


def test_each_axis_cut_equals_its_mask():
    torch.manual_seed(0)
    module, example = Net().eval(), torch.randn(2, 3, 8, 8)
    layout = from_module(module, example)
    assert halves(layout)
    for axis, units in halves(layout):
        plan = Plan((Keep(axis, units),))
        smaller = apply(module, layout, plan, example=example)
        torch.testing.assert_close(
            run(smaller, example), run(masked(module, layout, plan), example), rtol=1e-4, atol=1e-5
        )
        assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in module.parameters())


def test_a_recurrent_layer_is_cut_in_all_its_layers_alike():
    torch.manual_seed(0)
    module, example = Recurrent().eval(), torch.randn(2, 5, 6)
    layout = from_module(module, example)
    (hidden,) = (a.name for a in layout.match("*") if a.size == 11)
    plan = Plan((Keep(hidden, (0, 3, 4, 9)),))
    smaller = apply(module, layout, plan, example=example)
    assert smaller.lstm.hidden_size == 4
    torch.testing.assert_close(run(smaller, example), run(masked(module, layout, plan), example))


def test_a_count_of_heads_follows():
    module, example = Attention().eval(), torch.randn(2, 7, 12)
    layout = from_module(module, example)
    heads = next(a.name for a in layout.match("*") if a.size == 4)
    smaller = apply(module, layout, Plan((Keep(heads, (0, 3)),)), example=example)
    assert smaller.heads == 2
    assert module.heads == 4
    assert smaller.out.in_features == 10


def test_stretches_that_the_code_takes_for_equal_are_one_axis():
    module, example = Attention().eval(), torch.randn(2, 7, 12)
    layout = from_module(module, example)
    (dims,) = (a for a in layout.axes.values() if a.size == 5)
    assert dims.state == "sensitive"
    assert "a number follows its size" in dims.reason
    plan = Plan((Keep(dims.name, (0, 2, 3)),))
    with pytest.raises(PlanError, match="a number follows its size"):
        apply(module, layout, plan, example=example)
    assert apply(module, layout, plan, example=example, allow_sensitive=True).out.in_features == 12


def test_sizes_that_layers_keep_follow():
    module = Net().eval()
    example = torch.randn(2, 3, 8, 8)
    layout = from_module(module, example)
    conv = next(
        a for a in halves(layout) if a[0] in {x.name for x in layout.match("*")} and layout.axes[a[0]].size == 10
    )
    smaller = apply(module, layout, Plan((Keep(*conv),)), example=example)
    assert smaller.mix.out_channels == 5
    assert smaller.head.in_features == 5


def test_a_size_in_the_code_is_uncut_and_a_plan_for_it_refused():
    module, example = Fixed().eval(), torch.randn(2, 6)
    layout = from_module(module, example)
    (axis,) = (a for a in layout.axes.values() if a.size == 8)
    assert axis.state == "uncut"
    assert "a number at test_own_modules.py:" in axis.reason
    with pytest.raises(PlanError, match=r"a number at test_own_modules.py"):
        apply(module, layout, Plan((Keep(axis.name, tuple(range(4))),)), example=example)
