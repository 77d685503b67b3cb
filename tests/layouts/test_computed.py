"""Weights that are computed from other weights: a norm over the units that go changes the weights that stay."""

import pytest
import torch
import torch.nn.functional as F
from tests.layouts import modules
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from penjing.errors import LayoutError
from penjing.layouts import from_module
from penjing.layouts.graph import infer as infer_module
from penjing.layouts.graph.infer import infer
from penjing.layouts.prove.proof import prove
from penjing.layouts.prove.proofs import prove as prove_layout

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def plain(layer):
    return layer


def pair(way, other=plain):
    """Two layers with 8 units between them, the second under a scheme."""
    return nn.Sequential(other(nn.Linear(5, 8)), nn.ReLU(), way(nn.Linear(8, 6)), nn.ReLU(), nn.Linear(6, 3)).eval()


class Own(nn.Module):
    """8 units read through a weight that a function computes from the stored one."""

    def __init__(self, function):
        super().__init__()
        self.a, self.w, self.o = nn.Linear(5, 8), nn.Parameter(torch.randn(6, 8)), nn.Linear(6, 3)
        self.function = function

    def forward(self, x):
        return self.o(torch.relu(F.linear(torch.relu(self.a(x)), self.function(self.w))))


class Centred(nn.Module):
    def forward(self, w):
        return w - w.mean(1, keepdim=True)


SCHEMES = {
    "spectral_norm": lambda: pair(parametrizations.spectral_norm),
    "spectral_norm by a hook": lambda: pair(nn.utils.spectral_norm),
    "weight_norm": lambda: pair(parametrizations.weight_norm),
    "weight_norm by a hook": lambda: pair(nn.utils.weight_norm),
    "weight_norm of the whole": lambda: pair(lambda m: parametrizations.weight_norm(m, dim=None)),
}
WRITTEN_OUT = {
    "rows of length one": lambda w: F.normalize(w, dim=1),
    "divided by its length": lambda w: w / w.norm(),
    "divided by its sum": lambda w: w / w.abs().sum(1, keepdim=True),
    "scaled by a product": lambda w: w / (w @ w.t()).diagonal().sum().sqrt().reshape(1),
    "orthogonalised": lambda w: 1.5 * w - 0.5 * w @ w.t() @ w,
    "centred": Centred(),
    "softmax": lambda w: w.softmax(1),
    "by the largest": lambda w: w / w.abs().amax(),
}


def sized(layout, size):
    return [a for a in layout.axes.values() if a.size == size]


@pytest.mark.parametrize("name", SCHEMES)
def test_units_under_a_norm_of_weights_are_not_free_and_the_scheme_is_named(name):
    (axis,) = sized(infer(SCHEMES[name](), (modules.rows(5),)), 8)
    assert axis.state == "sensitive"
    assert name.split()[0] in axis.reason


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_norm_that_the_forward_pass_writes_out_is_seen_as_well(name):
    axes = sized(infer(Own(WRITTEN_OUT[name]), (modules.rows(5),)), 8)
    assert axes
    assert all(a.state != "free" and a.reason for a in axes)


@pytest.mark.parametrize("name", ["spectral_norm", "weight_norm", "weight_norm of the whole"])
def test_the_graph_proof_sees_a_norm_of_weights_that_the_inference_overlooks(name, monkeypatch):
    monkeypatch.setattr(infer_module, "mark_computed", lambda *_: None)
    monkeypatch.setattr(infer_module, "mark_zero_over_zero", lambda *_: None)
    module = SCHEMES[name]()
    (axis,) = sized(infer(module, (modules.rows(5),)), 8)
    result = prove(module, (modules.rows(5),), axes=[axis.name])[axis.name]
    assert result.error > 1e-3
    with pytest.raises(LayoutError, match="differs from masking"):
        prove_layout(module, modules.rows(5))


class Pointwise(nn.Module):
    def forward(self, w):
        return torch.tanh(w)


FREE = {
    "pointwise": lambda: pair(lambda m: (parametrize.register_parametrization(m, "weight", Pointwise()), m)[1]),
    "written out": lambda: Own(torch.tanh),
    "scaled by another": lambda: Own(lambda w: w * 0.5 + 0.1 * w**3),
}


@pytest.mark.parametrize("name", FREE)
def test_a_weight_computed_unit_by_unit_leaves_its_units_free(name):
    (axis,) = sized(infer(FREE[name](), (modules.rows(5),)), 8)
    assert axis.state == "free"
    assert prove(FREE[name](), (modules.rows(5),))[axis.name].ok


class LowRank(nn.Module):
    """A weight that is the product of two, with 4 inner units."""

    def __init__(self):
        super().__init__()
        self.a, self.down, self.up = nn.Linear(5, 8), nn.Parameter(torch.randn(4, 8)), nn.Parameter(torch.randn(6, 4))
        self.o = nn.Linear(6, 3)

    def forward(self, x):
        return self.o(torch.relu(F.linear(torch.relu(self.a(x)), self.up @ self.down)))


def test_the_rank_of_a_product_of_weights_is_free_and_so_are_its_ends():
    layout = infer(LowRank(), (modules.rows(5),))
    assert {a.size for a in layout.axes.values() if a.state == "free"} == {8, 4, 6}
    results = prove(LowRank(), (modules.rows(5),))
    assert all(r.ok for r in results.values()), results


class FirstState(nn.Module):
    """A recurrent cell whose first state is learned: a value computed from weights, but no weight."""

    def __init__(self):
        super().__init__()
        self.cell, self.first, self.o = nn.RNNCell(5, 8), nn.Parameter(torch.randn(1, 8)), nn.Linear(8, 3)

    def forward(self, x):
        h = self.cell(x, self.first.expand(x.shape[0], -1))
        return self.o(self.cell(x, h))


def test_a_learned_first_state_leaves_the_hidden_units_free():
    (axis,) = sized(infer(FirstState(), (modules.rows(5),)), 8)
    assert axis.state == "free"
    assert prove(FirstState(), (modules.rows(5),))[axis.name].ok


def test_the_units_written_under_weight_norm_are_zero_over_zero():
    """Each row has a norm of its own, but masked it is zero over zero."""
    layout = infer(pair(plain, parametrizations.weight_norm), (modules.rows(5),))
    (axis,) = sized(layout, 8)
    assert axis.state == "sensitive"
    assert "weight_norm in 0" in axis.reason


class Unguarded(nn.Module):
    """Activations divided by their own length, without a small number beside it."""

    def __init__(self):
        super().__init__()
        self.a, self.o = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        h = self.a(x).view(-1, 3, 4)
        return self.o((h / h.norm(dim=2, keepdim=True)).flatten(1))


def test_a_division_by_what_is_masked_is_not_free():
    layout = infer(Unguarded(), (modules.rows(5),))
    (heads,) = sized(layout, 3)[:1]
    assert heads.state == "sensitive"
    assert "zero over zero" in heads.reason


def test_a_module_with_computed_tensors_can_be_proved():
    normed = nn.utils.weight_norm(nn.Linear(5, 8))
    module = nn.Sequential(normed, nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    layout = prove_layout(module, modules.rows(5), layout=from_module(module, modules.rows(5)))
    assert [a.size for a in layout.axes.values() if "graph" in a.proofs] == [6]
