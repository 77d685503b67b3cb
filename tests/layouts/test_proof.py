"""The graph proof itself: it sees a wrong claim, and says when it proves nothing."""

import pytest
import torch
from tests.layouts import modules
from torch import nn

from penjing.errors import LayoutError
from penjing.layouts.graph import atoms
from penjing.layouts.graph.infer import infer_traced
from penjing.layouts.graph.trace import trace
from penjing.layouts.prove.masked import reference
from penjing.layouts.prove.proof import TOGETHER, error_of, prove, randomised, run_cut


def test_the_uncut_graph_is_the_module():
    module, example = randomised(modules.UNet(), 0), modules.image().double()
    inference = infer_traced(trace(module, (example,)))
    found = run_cut(inference, {})
    assert error_of(found, [module.eval()(example)]) < 1e-12


def test_a_cut_graph_is_smaller_inside_and_the_same_outside():
    module, example = randomised(modules.Mlp(), 0), modules.rows(5).double()
    inference = infer_traced(trace(module, (example,)))
    leaf = next(a for a, n in inference.names.items() if n == "neurons.fc1")
    kept = {leaf: torch.arange(leaf.size) % 3 == 0}
    assert error_of(run_cut(inference, kept), reference(inference, kept)) < 1e-12


def test_the_module_is_left_as_it_was():
    module = modules.Mlp()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    prove(module, (modules.rows(5),))
    assert all(torch.equal(v, before[k]) and v.dtype == before[k].dtype for k, v in module.state_dict().items())


def test_all_axes_are_also_cut_together():
    assert TOGETHER in prove(modules.Mlp(), (modules.rows(5),))


class Dead(nn.Module):
    """A branch that is computed and multiplied by zero."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 6), nn.Linear(6, 2), nn.Linear(5, 2)

    def forward(self, x):
        return self.c(x) + 0.0 * self.b(torch.relu(self.a(x)))


def test_a_cut_that_changes_nothing_proves_nothing():
    result = prove(Dead(), (modules.rows(5),))["neurons.a"]
    assert result.error == 0
    assert not result.changed
    assert not result.ok


def test_a_wrong_claim_is_seen():
    """Softmax over the hidden units: the inference calls them sensitive; claim them free and the proof says no."""
    module = nn.Sequential(nn.Linear(5, 6), nn.Softmax(-1), nn.Linear(6, 2))
    name = next(n for n in prove_names(module) if n.startswith("neurons"))
    result = prove(module, (modules.rows(5),), axes=[name])[name]
    assert result.changed
    assert result.error > 1e-3


def prove_names(module):
    inference = infer_traced(trace(module, (modules.rows(5),)))
    return [n for a, n in inference.names.items() if inference.state(a)[0] == "sensitive"]


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)) + torch.rand(6, dtype=x.dtype))


def test_a_random_module_is_refused():
    with pytest.raises(LayoutError, match="something else than the module"):
        prove(Noisy(), (modules.rows(5),))


def test_every_node_has_the_recorded_length():
    inference = infer_traced(trace(modules.UNet(), (modules.image(),)))
    for node, dims in inference.walk.dims.items():
        if isinstance(dims, list):
            assert tuple(atoms.length(d) for d in dims) == tuple(node.meta["val"].shape)


class Single(nn.Module):
    """Computes in float32 whatever it is given, as recurrences of states do."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        hidden = torch.nn.functional.linear(x.float(), self.up.weight.float(), self.up.bias.float())
        return torch.nn.functional.linear(hidden.sin(), self.down.weight.float(), self.down.bias.float())


def test_a_module_that_computes_in_float32_is_held_to_what_float32_gives():
    found = prove(Single(), (modules.rows(5),))[TOGETHER]
    assert found.ok
    assert found.error < 1e-5


class Wide(nn.Module):
    """Sums in float32 what its graph sums in the very same order: only a cut sums it in another."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(5, 700), nn.Linear(700, 3)

    def forward(self, x):
        hidden = self.up(x).float().view(-1, 7, 100).sin().flatten(1)
        return torch.nn.functional.linear(hidden, self.down.weight.float())


def test_what_is_summed_in_float32_is_held_to_float32_even_where_the_whole_graph_agrees():
    results = prove(Wide(), (modules.rows(5),))
    assert all(r.ok for r in results.values())
    assert 1e-9 < max(r.error for r in results.values()) < 1e-5


class Alike(Single):
    """As `Single`, and a little of something that cutting changes."""

    def forward(self, x):
        return super().forward(x) + 1e-3 * torch.softmax(self.up(x), dim=-1)[:, :3]


def test_a_small_wrong_claim_is_seen_beside_float32():
    found = prove(Alike(), (modules.rows(5),), axes=["neurons.up"])["neurons.up"]
    assert found.changed
    assert not found.ok


class SingleOnly(nn.Module):
    """Makes a constant that only its own type holds, as a floor of attention scores."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        scores = self.up(x)
        floor = torch.full((), torch.finfo(scores.dtype).min, dtype=torch.float32)
        return self.down(torch.max(scores, floor.to(scores.dtype)).sin())


def test_a_module_that_runs_in_float32_alone_is_proved_in_float32():
    found = prove(SingleOnly(), (modules.rows(5),))["neurons.up"]
    assert found.ok
    assert 1e-12 < found.error < 1e-5


class Hiding(SingleOnly):
    """Hides with the least number of its own type, times a float32: infinity times zero in any wider one."""

    def forward(self, x):
        scores = self.up(x)
        hidden = torch.zeros((), dtype=torch.float32) * torch.tensor(torch.finfo(scores.dtype).min).float()
        return self.down((scores + hidden.to(scores.dtype)).sin())


def test_a_module_that_gives_nan_in_float64_is_proved_in_float32():
    found = prove(Hiding(), (modules.rows(5),))["neurons.up"]
    assert found.ok
    assert 1e-12 < found.error < 1e-5
