"""Modules built to mislead: each is caught, and the catch is one that could have been missed."""

import pytest
import torch
from tests.layouts import modules
from torch import nn

from penjing.errors import LayoutError
from penjing.layouts.graph import infer as infer_module
from penjing.layouts.graph.infer import infer
from penjing.layouts.prove.proof import prove


@pytest.mark.parametrize("name", modules.TRAPS)
def test_a_trap_is_not_reported_free(name):
    make, example, free, sensitive = modules.TRAPS[name]
    layout = infer(make(), (example,))
    states = [a.state for a in layout.axes.values()]
    assert (states.count("free"), states.count("sensitive")) == (free, sensitive), layout.axes


@pytest.mark.parametrize("name", modules.TRAPS)
def test_what_a_trap_leaves_free_can_be_cut(name):
    make, example, free, _ = modules.TRAPS[name]
    results = prove(make(), (example,))
    assert len(results) == (free + 1 if free else 0)
    assert all(r.ok for r in results.values()), results


@pytest.mark.parametrize("name", ["linear_attention", "sigmoid_attention"])
def test_without_the_vanishing_pass_the_graph_proof_catches_the_trap(name, monkeypatch):
    make, example, _, _ = modules.TRAPS[name]
    monkeypatch.setattr(infer_module.Vanishing, "_check_product", lambda *_: None)
    results = prove(make(), (example,))
    assert results["head_dims"].changed
    assert results["head_dims"].error > 0.01
    assert not results["head_dims"].ok


def test_cutting_a_sensitive_axis_differs_from_masking():
    make, example, _, _ = modules.TRAPS["channel_attention"]
    results = prove(make(), (example,), axes=["head_dims"])
    assert results["head_dims"].error > 1e-3


def test_an_operator_without_a_rule_is_named():
    make, example, _, _ = modules.TRAPS["bilinear"]
    layout = infer(make(), (example,))
    assert layout.notes == ("op aten._trilinear.default has no rule",)
    assert all(a.state == "uncut" and a.reason for a in layout.axes.values())


def test_a_branch_on_data_is_refused_with_its_line():
    with pytest.raises(LayoutError, match=r"forward branches on data at modules\.py:\d+"):
        infer(modules.Branching(), (modules.rows(5),))


class Positions(nn.Module):
    """A table of positions longer than the example: the rows beyond it are not proved by it."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Parameter(torch.randn(20, 6)), nn.Linear(6, 2)

    def forward(self, x):
        return self.out(torch.relu(x + self.table[: x.shape[1]]))


def test_rows_beyond_the_example_are_not_cut():
    layout = infer(Positions(), (modules.tokens(6),))
    assert {a.state for a in layout.axes.values()} == {"uncut"}


class Ones(nn.Module):
    """A column of ones beside the features: cutting features must not be hidden by a constant."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        h = torch.sigmoid(self.a(x))
        pair = torch.stack([h, torch.ones_like(h)]).sum(0)
        return self.out(torch.relu(self.b(pair)))


def test_a_constant_beside_features_does_not_vanish():
    results = prove(Ones(), (modules.rows(5),))
    assert all(r.ok for r in results.values()), results


class Unlike(nn.Module):
    """Equal sizes everywhere: nothing may be coupled by that."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(7, 7), nn.Linear(7, 7), nn.Linear(7, 7)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def test_equal_sizes_do_not_couple():
    layout = infer(Unlike(), (torch.randn(7, 7),))
    free = [a.name for a in layout.axes.values() if a.state == "free"]
    assert free == ["neurons.a", "neurons.b"]
