"""Pruned modules become smaller and compute the same."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize, prune

import penjing
from penjing.errors import PlanError
from penjing.pipeline.compacting import compact_plan, permanent, prove_same


class Gated(nn.Module):
    def __init__(self, bias: bool = True):
        super().__init__()
        self.gate, self.up = nn.Linear(6, 20, bias=bias), nn.Linear(6, 20, bias=bias)
        self.down = nn.Linear(20, 6, bias=bias)

    def forward(self, x):
        return x + self.down(functional.silu(self.gate(x)) * self.up(x))


class Added(nn.Module):
    """Two products are added, so that one of them being zero kills nothing."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(5, 12), nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.last(torch.relu(self.one(x) + self.two(x)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.n0 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c1, self.n1 = nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.c2, self.n2 = nn.Conv2d(12, 8, 1), nn.BatchNorm2d(8)
        self.last = nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.n0(self.stem(x)))
        x = torch.relu(x + self.n2(self.c2(torch.relu(self.n1(self.c1(x))))))
        return self.last(x.mean((2, 3)))


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in permanent(module).parameters())


def same(module: nn.Module, x: torch.Tensor) -> nn.Module:
    """The compact module, whose outputs on other inputs are those of the original."""
    before = {n: t.clone() for n, t in module.state_dict().items()}
    small = penjing.compact(module, example=x)
    assert all(torch.equal(before[n], t) for n, t in module.state_dict().items())
    other = 3 * torch.randn(16, *x.shape[1:])
    with torch.no_grad():
        wanted = module.eval()(other)
        assert float((small.eval()(other) - wanted).abs().max()) <= 1e-6 * max(1.0, float(wanted.abs().max()))
    return small


def mlp(activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 20), activation, nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Sigmoid(), nn.GELU()], ids=["relu", "sigmoid", "gelu"])
def test_masks_of_torch_become_smaller_widths(attached, activation):
    net = mlp(activation)
    prune.ln_structured(net[0], "weight", 0.5, 2, 0)
    prune.ln_structured(net[4], "weight", 0.25, 2, 1)
    if not attached:
        prune.remove(net[0], "weight"), prune.remove(net[4], "weight")
    net(torch.randn(2, 6))
    small = same(net, torch.randn(4, 6))
    assert [small[i].out_features for i in (0, 2, 4)] == [10, 12, 3]
    assert not any(n.endswith(("_orig", "_mask")) for n in small.state_dict())


def test_parametrizations_become_permanent():
    class Half(nn.Module):
        def forward(self, weight):
            return weight * (torch.arange(len(weight)) % 2)[:, None]

    net = mlp(nn.Tanh())
    parametrize.register_parametrization(net[0], "weight", Half())
    assert same(net, torch.randn(4, 6))[0].out_features == 10


@pytest.mark.parametrize("bias", [True, False])
def test_a_gated_unit_dies_with_either_factor(bias):
    net = Gated(bias)
    with torch.no_grad():
        net.gate.weight[:5], net.up.weight[8:10] = 0, 0
        if bias:
            net.gate.bias[:4], net.up.bias[8] = 0, 0  # units 4 and 9 are no constants
    assert same(net, torch.randn(4, 6)).down.in_features == (15 if bias else 13)


def test_a_zero_summand_kills_nothing():
    net = Added()
    with torch.no_grad():
        net.one.weight[:4], net.one.bias[:4] = 0, 0
        net.two.bias[:2] = -1e3  # closed on all ordinary data, yet not dead
    with pytest.warns(UserWarning, match="no unit does nothing"):
        assert penjing.compact(net, example=torch.randn(4, 5)) is net


def test_where_no_axis_is_free_the_module_itself_comes_back():
    net = nn.Sequential(nn.Linear(5, 16), nn.LayerNorm(16), nn.Linear(16, 3)).eval()
    with pytest.warns(UserWarning, match="no unit does nothing.*sensitive"):
        assert penjing.compact(net, example=torch.randn(2, 5)) is net


def test_one_text_protects_what_it_names():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        net[0].weight[2:] = net[0].bias[2:] = 0
        net[2].weight[3:] = net[2].bias[3:] = 0
    smaller = penjing.compact(net, example=torch.randn(3, 4), protect="neurons.0")
    assert (smaller[0].out_features, smaller[2].out_features) == (8, 3)


def test_chains_of_dead_units_go_whole():
    net = mlp(nn.ReLU())
    with torch.no_grad():
        net[4].weight[:, :8] = 0
        net[2].weight[8:, :5] = 0  # then only dead units read the first five
    small = same(net, torch.randn(4, 6))
    assert (small[0].out_features, small[2].out_features) == (15, 8)


def residual(dead: float) -> Residual:
    net = Residual().eval()
    with torch.no_grad():
        for norm in (net.n0, net.n1, net.n2):
            norm.bias.normal_(), norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
        net.c1.weight[:4], net.n1.running_mean[:4], net.n1.bias[:4] = 0, 0, 0.7
        for conv, norm in ((net.stem, net.n0), (net.c2, net.n2)):
            conv.weight[:2], conv.bias[:2], norm.running_mean[:2], norm.bias[:2] = 0, 0, 0, dead
    return net


def test_dead_channels_of_a_residual_network_go():
    small = same(residual(-1.0), torch.randn(2, 3, 8, 8))
    assert (small.stem.out_channels, small.c1.out_channels, small.last.in_features) == (6, 8, 6)


def test_a_constant_before_padding_stays_and_the_plan_says_why():
    net, x = residual(0.3), torch.randn(2, 3, 8, 8)
    _, plan = compact_plan(net, example=x)
    assert plan.made["dead"] == {"channels.c1": 4}
    assert [n for why, n in plan.made["stay"].items() if "bias" in why] == [2]
    assert same(net, x).stem.out_channels == 8


def test_a_gain_of_zero_is_a_dead_channel():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    with torch.no_grad():
        net[1].weight[:3] = 0
        net[1].bias[:3] = torch.tensor([-1.0, 0.0, 2.0])
    assert same(net, torch.randn(2, 3, 9, 9))[0].out_channels == 5


def test_outputs_that_differ_are_refused():
    net = mlp(nn.ReLU())
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[4].bias += 1e-4
    with pytest.raises(PlanError, match="differ by"):
        prove_same(net, other, torch.randn(2, 6))
