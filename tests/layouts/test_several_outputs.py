"""Operators that give several values, with a rule and without one, and parameters taken in parts."""

import pytest
import torch
import torch.nn.functional as F
from tests.layouts import modules
from tests.layouts.test_rehearse import cut
from torch import nn

from penjing.core import Keep, Plan
from penjing.core.pattern import show
from penjing.layouts.graph.infer import infer, infer_traced
from penjing.layouts.graph.trace import trace
from penjing.layouts.prove.proof import prove
from penjing.surgery import apply


class Between(nn.Module):
    """Two linear layers with a function in between, which sees [batch, 7, 12]."""

    def __init__(self, function, out):
        super().__init__()
        self.a, self.o, self.function = nn.Linear(5, 12), nn.Linear(out, 3), function

    def forward(self, x):
        return self.o(self.function(self.a(x)))


def proved(function, out=12):
    """(layout, size and state of each axis between the layers): every free one cut equals its mask."""
    module, example = Between(function, out), modules.tokens(5)
    layout = infer(module, (example,))
    results = prove(module, (example,))
    assert all(r.error < 1e-7 for r in results.values()), results
    return layout, sorted((a.size, a.state) for a in layout.axes.values() if a.kind not in {"inputs", "outputs"})


def gated(parts):
    return parts[0] * torch.tanh(parts[1])


PAIRS = {
    "unbind": lambda x: gated(x.unflatten(-1, (2, 6)).unbind(-2)),
    "iteration": lambda x: gated(tuple(x.unflatten(-1, (2, 6)).movedim(-2, 0))),
    "chunk": lambda x: gated(x.chunk(2, -1)),
    "tensor_split": lambda x: gated(x.tensor_split(2, -1)),
    "split": lambda x: gated(x.split(6, -1)),
    "split into sizes": lambda x: gated(x.split([6, 6], -1)),
    "hsplit": lambda x: gated(x.transpose(1, 2).hsplit(2)).transpose(1, 2),
    "unsafe_chunk": lambda x: gated(torch.unsafe_chunk(x, 2, -1)),
    "unsafe_split": lambda x: gated(torch.unsafe_split(x, 6, -1)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_parts_give_the_layout_that_indices_give(name):
    layout, found = proved(PAIRS[name], 6)
    by_index, wanted = proved(lambda x: x.unflatten(-1, (2, 6))[..., 0, :] * torch.tanh(x[..., 6:]), 6)
    assert found == wanted == [(6, "free")]
    assert layout.notes == by_index.notes == ()


PASSING = {
    "largest in time": lambda x: x.max(1, keepdim=True)[0],
    "sorted in time": lambda x: x.sort(1)[0],
    "first three in time": lambda x: x.topk(3, 1)[0],
    "running largest": lambda x: x.cummax(1)[0],
    "spread in time": lambda x: x * torch.std_mean(x, 1, keepdim=True)[1],
    "mantissas": lambda x: torch.frexp(x)[0],
    "pooled with places": lambda x: F.max_pool1d(x.transpose(1, 2), 2, return_indices=True)[0].transpose(1, 2),
}
LOOKING = {
    "largest": lambda x: x * x.max(-1, keepdim=True)[0],
    "place of the largest": lambda x: x * x.max(-1, keepdim=True)[1],
    "smallest and largest": lambda x: x * x.aminmax(dim=-1, keepdim=True)[1],
    "second smallest": lambda x: x * x.kthvalue(2, -1, keepdim=True)[0],
    "most frequent": lambda x: x * x.mode(-1, keepdim=True)[0],
    "median": lambda x: x * x.median(-1, keepdim=True)[0],
    "spread": lambda x: x * torch.var_mean(x, -1, keepdim=True)[0],
    "mean of the norm": lambda x: x * torch.native_layer_norm(x, (12,), None, None, 1e-5)[1],
}
UNKNOWN = {
    "qr": lambda x: torch.linalg.qr(x.transpose(1, 2) @ x)[0],
    "svd": lambda x: torch.linalg.svd(x.transpose(1, 2) @ x)[2],
    "eigh": lambda x: torch.linalg.eigh(x.transpose(1, 2) @ x)[1],
}


@pytest.mark.parametrize("name", PASSING)
def test_the_other_dimensions_pass_through_every_output(name):
    assert proved(PASSING[name])[1] == [(12, "free")]


@pytest.mark.parametrize("name", LOOKING)
def test_an_output_that_looks_along_the_axis_makes_it_sensitive(name):
    assert proved(LOOKING[name])[1] == [(12, "sensitive")]


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_operator_without_a_rule_freezes_and_is_noted(name):
    layout, found = proved(UNKNOWN[name])
    assert {state for _, state in found} == {"uncut"}
    assert len(layout.notes) == 1
    assert "has no rule" in layout.notes[0]


def test_a_rule_that_fails_freezes_and_is_noted(monkeypatch):
    from penjing.layouts.graph import infer as infer_module

    def failing(*_):
        raise KeyError("an argument that this version does not have")

    monkeypatch.setitem(infer_module.RULES, "relu", failing)
    layout = infer(modules.Mlp(), (modules.rows(5),))
    assert {a.state for a in layout.axes.values()} == {"uncut"}
    assert "has a form without a rule (KeyError" in layout.notes[0]


class Spread(nn.Module):
    """One over the spread in time of each unit, summed over the units: not zero where the unit is."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 12)

    def forward(self, x):
        return torch.native_layer_norm(self.a(x).transpose(1, 2), (7,), None, None, 1e-5)[2].sum(1)


def test_a_further_output_does_not_vanish_with_the_first():
    (axis,) = (a for a in infer(Spread(), (modules.tokens(5),)).axes.values() if a.size == 12)
    assert axis.state == "sensitive"


class Packed(nn.Module):
    """One stored weight for two projections of two inputs, taken apart in the forward pass."""

    def __init__(self, parts):
        super().__init__()
        self.w, self.o, self.parts = nn.Parameter(torch.randn(12, 5)), nn.Linear(6, 3), parts

    def forward(self, x, z):
        a, b = self.parts(self.w)
        return self.o(F.linear(x, a) * torch.sigmoid(F.linear(z, b)))


@pytest.mark.parametrize("name", ["chunk", "split", "tensor_split", "unbind"])
def test_a_parameter_in_parts_is_laid_out_and_read(name):
    parts = {
        "chunk": lambda w: w.chunk(2),
        "split": lambda w: w.split([6, 6]),
        "tensor_split": lambda w: w.tensor_split(2),
        "unbind": lambda w: w.view(2, 6, 5).unbind(0),
    }[name]
    example = (modules.tokens(5), modules.tokens(5))
    layout = infer(Packed(parts), example)
    (axis,) = (a for a in layout.axes.values() if a.size == 6)
    assert axis.state == "free"
    assert show(layout.patterns["w"]).count(axis.name) == (1 if name == "unbind" else 2)
    assert layout.reads == {"w": (1,), "o.weight": (1,)}
    assert prove(Packed(parts), example)[axis.name].ok


class Kernel(nn.Module):
    """A convolution whose kernel is stored flat."""

    def __init__(self):
        super().__init__()
        self.w, self.o = nn.Parameter(torch.randn(8 * 3 * 3)), nn.Conv1d(8, 2, 1)

    def forward(self, x):
        return self.o(torch.relu(F.conv1d(x, self.w.view(8, 3, 3))))


def test_a_kernel_of_another_shape_is_laid_out():
    layout = infer(Kernel(), (torch.randn(2, 3, 16),))
    assert [a.size for a in layout.axes.values() if a.state == "free"] == [8]


class Cross(nn.Module):
    """Attention with another key than query: torch splits its packed projection."""

    def __init__(self):
        super().__init__()
        self.m, self.f, self.o = nn.MultiheadAttention(16, 4, batch_first=True), nn.Linear(16, 24), nn.Linear(24, 3)

    def forward(self, x, z):
        return self.o(torch.relu(self.f(self.m(x, z, z, need_weights=False)[0])))


def test_attention_between_two_inputs_is_laid_out():
    layout = infer(Cross(), (modules.tokens(16), modules.tokens(16)))
    assert 24 in {a.size for a in layout.axes.values() if a.state == "free"}
    assert layout.notes == ()


def test_every_output_has_the_recorded_length():
    from penjing.layouts.graph import atoms

    for function in (*PAIRS.values(), *PASSING.values(), *LOOKING.values()):
        out = function(torch.randn(2, 7, 12)).shape[-1]
        inference = infer_traced(trace(Between(function, out), (modules.tokens(5),)))
        for node, dims in inference.walk.dims.items():
            if isinstance(dims, tuple):
                lengths = [tuple(atoms.length(d) for d in part) for part in dims]
                assert lengths == [tuple(v.shape) for v in node.meta["val"]]


class Bags(nn.Module):
    """Rows of a table in bags of several, joined to what a linear layer gives."""

    def __init__(self, mode):
        super().__init__()
        self.table, self.other, self.out = nn.EmbeddingBag(10, 8, mode=mode), nn.Linear(4, 6), nn.Linear(14, 3)

    def forward(self, rows, starts, x):
        return self.out(torch.cat([self.table(rows, starts), torch.tanh(self.other(x))], 1))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_rows_in_bags_are_as_wide_as_their_readers_want(mode):
    example = (torch.tensor([1, 2, 3, 4, 9]), torch.tensor([0, 3]), torch.randn(2, 4))
    layout = cut(Bags(mode), example)
    free = {a.size: a.name for a in layout.axes.values() if a.state == "free"}
    assert free.keys() == {8, 6}
    assert {a.reason for a in layout.axes.values() if a.size == 10} == {"looked up by number in table"}
    plan = Plan((Keep(free[8], (0, 3, 4)),))
    assert apply(Bags(mode).eval(), layout, plan, example=example).table.embedding_dim == 3
