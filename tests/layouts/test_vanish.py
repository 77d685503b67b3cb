"""Where masked units are exactly zero, and where that is not so."""

import pytest
import torch
import torch.nn.functional as F
from tests.layouts import modules
from torch import nn

from penjing.layouts.graph import atoms
from penjing.layouts.graph.infer import infer, infer_traced
from penjing.layouts.graph.trace import trace
from penjing.layouts.prove.proof import prove, randomised


class Pooled(nn.Module):
    """A function of the hidden units, summed over them."""

    def __init__(self, function):
        super().__init__()
        self.a, self.function = nn.Linear(5, 8), function

    def forward(self, x):
        return self.function(self.a(x)).sum(-1)


VANISHING = {
    "relu": torch.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "square": lambda x: x**2,
    "times anything": lambda x: x * torch.cos(x),
    "over anything": lambda x: x / (1 + x**2),
    "plus itself": lambda x: x + torch.relu(x),
    "hardtanh": F.hardtanh,
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "elu": F.elu,
    "abs": torch.abs,
}
LASTING = {
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "cos": torch.cos,
    "elu and one": lambda x: F.elu(x) + 1,
    "plus a number": lambda x: x + 0.5,
    "softplus": F.softplus,
    "minus the largest elsewhere": lambda x: x - x.detach().sum(0, keepdim=True).cos(),
    "clamped above zero": lambda x: x.clamp(0.1, 1),
    "where one": lambda x: torch.where(x > 0, x, 1.0),
    "to the minus one": lambda x: (x + 9) ** -1,
    "filled with one": lambda x: x.masked_fill(x > 0, 1.0),
}


@pytest.mark.parametrize("name", VANISHING)
def test_a_sum_over_what_vanishes_is_free(name):
    module = Pooled(VANISHING[name])
    layout = infer(module, (modules.rows(5),))
    assert [a.state for a in layout.axes.values() if a.name == "dims.a" or a.kind == "neurons"] == ["free"]
    assert all(r.error < 1e-9 for r in prove(module, (modules.rows(5),)).values())


@pytest.mark.parametrize("name", LASTING)
def test_a_sum_over_what_lasts_is_sensitive(name):
    layout = infer(Pooled(LASTING[name]), (modules.rows(5),))
    axis = next(a for a in layout.axes.values() if a.size == 8)
    assert axis.state == "sensitive"
    assert "meets no zero" in axis.reason


@pytest.mark.parametrize("make", [modules.UNet, modules.Encoder, modules.Grouped, modules.Mixer, modules.Kan])
def test_what_is_said_to_vanish_does(make):
    """Every node of the graph, every leaf in its `zeros`: run masked, and look."""
    entry = next(v for v in modules.HONEST.values() if v[0] is make)
    module, example = randomised(make().eval(), 0), entry[1].double()
    inference = infer_traced(trace(module, (example,)))
    for leaf in inference.names:
        if inference.state(leaf)[0] != "uncut":
            _look(inference, leaf, torch.arange(leaf.size) % 2 == 0)


def _look(inference, leaf, kept):
    from penjing.layouts.prove.masked import mask

    values = _masked_values(inference, leaf, kept)
    for node, value in values.items():
        zeros, dims = inference.vanishing.zeros.get(node, frozenset()), inference.walk.dims.get(node)
        if not isinstance(value, torch.Tensor) or not isinstance(dims, list) or zeros is None or leaf not in zeros:
            continue
        for place, dim in enumerate(dims):
            if leaf in set(atoms.leaves(dim)):
                gone = (~mask(dim, {leaf: kept})).nonzero().flatten()
                assert not value.index_select(place, gone).any(), (node, place)


def _masked_values(inference, leaf, kept):
    from penjing.layouts.graph.walk import is_assertion
    from penjing.layouts.prove.masked import Cut, mask
    from penjing.layouts.prove.proof import _call, _start

    nothing, env = Cut({}), _start(inference, {})
    for node, name in inference.placeholders.items():
        for i, dim in enumerate(inference.tensors[name]):
            shape = [-1 if j == i else 1 for j in range(env[node].dim())]
            env[node] = env[node] * mask(dim, {leaf: kept}).view(shape)
    with torch.no_grad():
        for node in inference.nodes:
            if node.op == "call_function" and not is_assertion(node):
                env[node] = _call(inference, node, env, nothing)
    return env
