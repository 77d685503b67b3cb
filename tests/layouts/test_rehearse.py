"""What a module's code holds as a number: the axis behind it is named with its line, and the others are cut."""

import math

import pytest
import torch
import torch.nn.functional as F
from tests.layouts import modules
from torch import nn

from penjing.core import Keep, Plan
from penjing.core.pattern import show
from penjing.layouts import from_module
from penjing.layouts.table import from_text, to_text
from penjing.surgery import apply, masked
from penjing.surgery.outputs import run


def cut(module, example):
    """The layout, once every free axis alone, and then all together, were cut and equal to their mask."""
    torch.manual_seed(0)
    module = module.eval()
    layout = from_module(module, example)
    free = [a for a in layout.axes.values() if a.state == "free" and a.size > 1]
    keeps = [Keep(a.name, tuple(range(0, a.size, 2))) for a in free]
    for plan in [*(Plan((k,)) for k in keeps), *([Plan(tuple(keeps))] if keeps else [])]:
        smaller = apply(module, layout, plan, example=example)
        wanted = run(masked(module, layout, plan), example)
        torch.testing.assert_close(run(smaller, example), wanted, rtol=1e-4, atol=1e-5)
    return layout


def states(layout):
    """size -> (state, reason) of what the world does not fix."""
    axes = [a for a in layout.axes.values() if a.reason != "output" and not a.reason.startswith(("graph", "positions"))]
    return {a.size: (a.state, a.reason) for a in axes}


class Flat(nn.Module):
    """A size written into `view`, as old image classifiers have it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.c, self.d, self.o = nn.Linear(48, 32), nn.Linear(32, 20), nn.Linear(20, 5)

    def forward(self, x):
        h = F.adaptive_avg_pool2d(torch.relu(self.b(torch.relu(self.a(x)))), 2)
        return self.o(torch.relu(self.d(torch.relu(self.c(h.view(h.size(0), 12 * 2 * 2))))))


def test_a_size_in_a_view_is_named_and_the_rest_is_cut():
    found = states(cut(Flat(), modules.image()))
    assert {s for s in (8, 32, 20) if found[s][0] == "free"} == {8, 32, 20}
    assert found[12][0] == "uncut"
    assert "its size is a number at test_rehearse.py:" in found[12][1]
    assert "view" in found[12][1]


class Parts(nn.Module):
    """Sizes written into a slice and into `split`."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.o = nn.Linear(5, 16), nn.Linear(5, 24), nn.Linear(16, 7), nn.Linear(12, 3)
        self.p = nn.Linear(7, 3)

    def forward(self, x):
        h, (u, v) = torch.relu(self.a(x)), torch.relu(self.b(x)).split(12, -1)
        return self.o(u * v) + self.p(torch.relu(self.c(h))) + h[:, :6].sum(1, keepdim=True)


def test_sizes_in_slices_and_splits_are_named():
    found = states(cut(Parts(), modules.rows(5)))
    assert found[6][0] == found[12][0] == "uncut"
    assert "slice" in found[6][1]
    assert "split" in found[12][1]
    assert found[7][0] == found[10][0] == "free"


class Heads(nn.Module):
    """Attention of one's own: counts of heads and their dims are attributes, and the scale follows one of them."""

    def __init__(self):
        super().__init__()
        self.heads, self.dim, self.width = 4, 4, 16
        self.q, self.k, self.v, self.o = nn.Linear(10, 16), nn.Linear(10, 16), nn.Linear(10, 16), nn.Linear(16, 3)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (f(x).view(b, t, self.heads, self.dim).transpose(1, 2) for f in (self.q, self.k, self.v))
        a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(self.dim), -1) @ v
        return self.o(a.transpose(1, 2).reshape(b, t, self.width))


def test_attributes_follow_and_a_scale_makes_sensitive():
    layout = cut(Heads(), modules.tokens(10))
    assert layout.axes["heads"].state == "free"
    assert layout.axes["head_dims"].state == "sensitive"
    assert "a number follows its size: div in the model, at test_rehearse.py:" in layout.axes["head_dims"].reason
    assert {k: show(p) for k, p in layout.attributes.items()} == {
        "heads": "heads", "dim": "head_dims", "width": "(heads head_dims)",
    }  # fmt: skip
    assert from_text(to_text(layout)) == layout


class Packed(nn.Module):
    """Three projections in one: `chunk` takes them for equal, so keys and values are one axis."""

    def __init__(self):
        super().__init__()
        self.heads = 4
        self.qkv, self.o = nn.Linear(10, 60), nn.Linear(20, 3)

    def forward(self, x):
        q, k, v = (t.view(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return self.o(F.scaled_dot_product_attention(q, k, v, scale=0.3).transpose(1, 2).flatten(2))


def test_parts_that_the_code_takes_for_equal_are_one_axis():
    layout = cut(Packed(), modules.tokens(10))
    found = states(layout)
    assert found[4] == found[5] == ("free", "")
    assert show(layout.patterns["qkv.weight"]).count("heads head_dims") == 3


def test_a_default_scale_makes_sensitive():
    class Scaled(Heads):
        def forward(self, x):
            q, k, v = (f(x).unflatten(-1, (4, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
            return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    layout = cut(Scaled(), modules.tokens(10))
    assert (layout.axes["head_dims"].state, layout.axes["value_dims"].state) == ("sensitive", "free")
    assert layout.axes["heads"].state == "uncut"


class Mean(nn.Module):
    """A mean written as a sum over a number."""

    def __init__(self):
        super().__init__()
        self.a, self.o = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.o(h) * (h.sum(-1, keepdim=True) / h.shape[-1]) + torch.tensor(1.0 / h.shape[-1])


def test_a_number_made_of_a_size_makes_sensitive():
    state, reason = states(cut(Mean(), modules.rows(5)))[12]
    assert state == "sensitive"
    assert "a number follows its size" in reason


class Watched(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.watch = nn.Linear(6, 16), nn.Linear(16, 4)
        self.mid, self.head = nn.Linear(16, 32), nn.Linear(32, 3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        self.watch(x)
        return self.head(torch.relu(self.mid(x)))


def test_a_branch_that_nobody_uses_is_cut_along():
    layout = cut(Watched(), modules.rows(6))
    found = states(layout)
    assert found[16][0] == found[32][0] == "free"
    assert found[4] == ("uncut", "made in watch, whose result is not used")
    assert layout.unreached == ()


class Stacked(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.r, self.o = nn.LSTM(10, 16, 2, batch_first=True), nn.Linear(16, 4)
        self.n = nn.LayerNorm(16) if norm else nn.Identity()

    def forward(self, x):
        return self.o(self.n(self.r(x)[0]))


@pytest.mark.parametrize(("norm", "state"), [(False, "free"), (True, "sensitive")])
def test_the_layers_of_a_recurrent_module_are_one_axis(norm, state):
    assert {s: f[0] for s, f in states(cut(Stacked(norm), modules.tokens(10))).items()} == {16: state}


def test_heads_that_torch_packs_are_cut_as_the_neurons_are():
    layer = nn.TransformerEncoderLayer(10, 2, 24, batch_first=True)
    module = nn.Sequential(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Linear(10, 3))
    found = states(cut(module, modules.tokens(10)))
    assert found[24][0] == found[2][0] == found[5][0] == "free"


class Bare(nn.Module):
    """Norms without weights of their own keep sizes too."""

    def __init__(self):
        super().__init__()
        self.a, self.g, self.b = nn.Conv2d(3, 12, 1), nn.GroupNorm(4, 12, affine=False), nn.Conv2d(12, 10, 1)
        self.o = nn.Linear(10, 3)

    def forward(self, x):
        return self.o(torch.relu(self.b(torch.relu(self.g(self.a(x))))).mean((2, 3)))


def test_a_norm_without_weights_follows():
    layout = cut(Bare(), modules.image())
    assert [a.size for a in layout.axes.values() if a.state == "free"] == [4, 10]
    assert list(layout.attributes) == ["g.num_groups"]


def test_what_was_not_looked_for_is_noted(monkeypatch):
    from penjing.layouts.graph import rehearse

    monkeypatch.setattr(rehearse, "MOST", 0)
    layout = from_module(Flat().eval(), modules.image())
    assert "the first left is at test_rehearse.py:" in layout.notes[0]
    assert {a.size for a in layout.axes.values() if a.state == "free"} == {8, 12, 32, 20}


def test_many_blocks_are_rehearsed_as_three():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(Heads() for _ in range(6))
            for block in self.blocks:
                block.o = nn.Linear(16, 10)
            self.o = nn.Linear(10, 3)

        def forward(self, x):
            for block in self.blocks:
                x = x + block(x)
            return self.o(x)

    layout = from_module(Deep().eval(), modules.tokens(10))
    assert {f"blocks.{k}.heads" for k in range(6)} <= set(layout.attributes)
    assert show(layout.attributes["blocks.4.width"]) == "(heads.4 head_dims.4)"
    assert layout.axes["heads.4"].state == "free"


class Named(nn.MultiheadAttention):
    """torch's attention under a name of one's own: penjing puts nothing in its place."""


class Attending(nn.Module):
    """Attention by torch's own code inside a stream."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(5, 16), nn.Linear(16, 3)
        self.attend = Named(16, 4, batch_first=True)

    def forward(self, x):
        h = self.into(x)
        return self.out(h + self.attend(h, h, h, need_weights=False)[0])


def test_a_subclass_of_torchs_attention_says_that_it_holds_no_fewer_heads():
    module, example = Attending(), torch.randn(2, 6, 5)
    axes = from_module(module.eval(), example).axes
    for name in ("heads", "head_dims"):
        assert axes[name].state == "uncut"
        assert "heads times their width are the width of what it is given (16)" in axes[name].reason
        assert "graph=True" in axes[name].reason
    assert from_module(module, example, graph=True).axes["heads"].state == "free"


def test_what_is_said_of_torchs_attention_is_true():
    """Fewer heads of the same width: torch's own forward refuses them, whichever numbers follow."""
    part = nn.MultiheadAttention(16, 4, batch_first=True)
    kept = torch.cat([torch.arange(12) + 16 * k for k in range(3)])
    part.in_proj_weight = nn.Parameter(part.in_proj_weight[kept])
    part.in_proj_bias = nn.Parameter(part.in_proj_bias[kept])
    part.out_proj.weight = nn.Parameter(part.out_proj.weight[:, :12])
    x = torch.randn(2, 6, 16)
    for heads, dim, wide in ((3, 4, 16), (3, 4, 12), (4, 4, 16), (4, 3, 12)):
        part.num_heads, part.head_dim, part.embed_dim = heads, dim, wide
        with pytest.raises((AssertionError, RuntimeError)):
            part(x, x, x)
