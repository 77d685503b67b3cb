"""The measured allocation: its ranking against a loop, its sizes against every choice, and what it tells."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.tiny import llama
from torch import nn

from penjing import layouts
from penjing.calibrate import collect
from penjing.core import Budget, Plan, Stats, View
from penjing.errors import DataError, PenjingError, PlanError
from penjing.layouts import costs
from penjing.methods.prune.measured import Method, score
from penjing.running.live import Running
from penjing.select import size_grid

WEIGHT = {"neurons.0": 1.0, "neurons.1": 4.0, "heads.0": 0.5, "heads.1": 3.0}


class Watched:
    """A model whose loss grows with the square of what goes; cuts help or harm each other by `together`."""

    examples = 8

    def __init__(self, layout, together: float = 0.0) -> None:
        self.layout, self.together, self.calls = layout, together, []

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        self.calls.append((objective, examples))
        gone = {a: 1 - len(u) / self.layout.axes[a].size for a, u in plan.keeps().items()}
        alone = [WEIGHT[a] * g**2 for a, g in gone.items()]
        return 2 + sum(alone) * (1 + self.together * (sum(g > 0 for g in gone.values()) > 1))


def given_(method: Method, neurons: int = 64, **live):
    """(model, layout, stats, live) with drawn energies."""
    model, layout = llama(neurons=neurons)
    generator = torch.Generator().manual_seed(0)
    wanted = method.wants(layout).statistics
    values = {(t, s): torch.rand(model.shapes[t][1], generator=generator) for t, names in wanted.items() for s in names}
    return model, layout, Stats(values, samples=7), Watched(layout, **live)


def sizes(plan):
    return {a: len(u) for a, u in plan.keeps().items()}


def naive(x, readers):
    """Per unit: mean over positions of x_i^2, times the squares of all weights that read it, entry by entry."""
    out = []
    for i in range(x.shape[1]):
        energy = sum(float(x[p, i]) ** 2 for p in range(len(x))) / len(x)
        out.append(energy * sum(float(w[o, i]) ** 2 for w in readers for o in range(len(w))))
    return torch.tensor(out, dtype=torch.float64)


@given(units=st.integers(1, 6), outs=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_ranking_is_that_of_the_loop(units, outs, seed):
    g = torch.Generator().manual_seed(seed)
    x, readers = torch.randn(9, units, generator=g), [torch.randn(o, units, generator=g) for o in outs]
    energy = x.square().mean(0)[:, None]
    found = score((energy, w.square().sum(0)[:, None]) for w in readers)
    torch.testing.assert_close(found, naive(x, readers), rtol=1e-5, atol=1e-9)  # float32 energies


def naive_sizes(curves, full, allowed):
    """The smallest summed increase of all sizes whose sum is at most `allowed`, by trying every one."""
    best = math.inf
    for choice in itertools.product(*(range(1, n + 1) for n in full)):
        if sum(choice) <= allowed:
            best = min(best, sum(size_grid.height(c, n / f) for c, n, f in zip(curves, choice, full, strict=True)))
    return best


def test_sizes_are_the_best_of_all_that_the_measured_curves_allow():
    method = Method(even=False, multiple=1)
    model, layout, stats, live = given_(method, neurons=24)
    plan = method.plan(View(model, layout, stats, Budget(keep=0.5), live=live))
    found = sizes(plan)
    assert sum(found.values()) == 24
    assert found["neurons.1"] > found["neurons.0"]
    curves = [size_grid.curve([tuple(p) for p in plan.made["measured"]["increase"][a]]) for a in found]
    got = sum(size_grid.height(c, n / 24) for c, n in zip(curves, found.values(), strict=True))
    assert got == pytest.approx(naive_sizes(curves, [24, 24], 24), abs=1e-3)  # shares are told to four digits


def test_every_axis_is_measured_alone_at_each_fraction_and_at_its_smallest():
    method = Method(even=False, multiple=1)
    model, layout, stats, live = given_(method)
    told = method.plan(View(model, layout, stats, Budget(keep=0.5), live=live)).made["measured"]
    assert [[s for s, _ in points] for points in told["increase"].values()] == [[0.75, 0.5, 0.25, round(1 / 64, 4)]] * 2
    assert told["increase"]["neurons.1"][1][1] == pytest.approx(4 * 0.25)
    assert told["start"] == 2
    assert len(live.calls) == 1 + 2 * 4 + 1
    assert {o for o, _ in live.calls} == {"loss"}


def test_the_sum_and_what_was_found_are_both_told():
    method = Method(even=False, multiple=1)
    model, layout, stats, live = given_(method, together=0.5)
    told = method.plan(View(model, layout, stats, Budget(keep=0.5), live=live)).made["measured"]
    assert told["found"] > 1.2 * told["predicted"]


def test_even_by_default_so_that_keep_is_uniform_and_nothing_is_run():
    method = Method(multiple=1)
    model, layout, stats, live = given_(method)
    assert set(sizes(method.plan(View(model, layout, stats, Budget(keep=0.25), live=live))).values()) == {16}
    assert live.calls == []


@pytest.mark.parametrize("unit", ["parameters", "macs", "bytes"])
def test_even_weighs_kinds_against_each_other_under_a_limit(unit):
    method = Method(axes="neurons.*,heads.*", multiple=1)
    model, layout, stats, live = given_(method)
    cost = {"parameters": lambda s: costs.parameters(layout, s), "macs": lambda s: costs.macs_per_token(layout, s),
            "bytes": lambda s: costs.weight_bytes(layout, model.dtypes, s)}[unit]  # fmt: skip
    limit = int(0.75 * cost({}))
    found = sizes(method.plan(View(model, layout, stats, Budget(**{unit: limit}), live=live)))
    assert found["neurons.0"] == found["neurons.1"]
    assert found["heads.0"] == found["heads.1"]
    assert cost(found) <= limit
    for kind in ("neurons", "heads"):
        more = {a: n + a.startswith(kind) for a, n in found.items()}
        assert cost(more) > limit or more["heads.0"] > 2


def test_a_limit_leaves_no_room_for_one_more_step():
    method = Method(even=False, multiple=1)
    model, layout, stats, live = given_(method, neurons=200)  # more sizes than are weighed
    limit = int(0.6 * costs.parameters(layout))
    found = sizes(method.plan(View(model, layout, stats, Budget(parameters=limit), live=live)))
    assert costs.parameters(layout, found) <= limit
    for axis in found:
        assert costs.parameters(layout, {**found, axis: found[axis] + 1}) > limit or found[axis] == 200


@pytest.mark.parametrize("together", [0.0, 2.0])
def test_a_loss_is_held_by_what_all_cuts_add_together(together):
    method = Method(even=False, multiple=1)
    model, layout, stats, live = given_(method, together=together)
    plan = method.plan(View(model, layout, stats, Budget(loss=0.5), live=live))
    assert 0 < live.value(plan) - 2 <= 0.5
    assert sizes(plan)["neurons.1"] > sizes(plan)["neurons.0"]


def test_a_loss_that_nothing_holds_leaves_the_model_whole():
    method = Method(even=False, multiple=1)
    model, layout, stats, live = given_(method)
    live = Watched(layout, together=1e9)
    assert set(sizes(method.plan(View(model, layout, stats, Budget(loss=0.5), live=live))).values()) == {64}


def test_only_the_examples_and_the_objective_asked_for_are_run():
    method = Method(even=False, multiple=1, examples=3, objective="divergence")
    model, layout, stats, live = given_(method)
    plan = method.plan(View(model, layout, stats, Budget(keep=0.5), live=live))
    assert {(o, tuple(e)) for o, e in live.calls} == {("divergence", (0, 1, 2))}
    assert plan.made["measured"]["examples"] == 3


def test_taylor_ranks_by_what_readers_take_in():
    method = Method(rank="taylor", multiple=1)
    model, layout, stats, live = given_(method)
    plan = method.plan(View(model, layout, stats, Budget(keep=0.25), live=live))
    effects = stats["model.layers.0.mlp.down_proj.weight", "loss_taylor"]
    assert plan.keeps()["neurons.0"] == tuple(sorted(sorted(range(64), key=lambda u: -float(effects[u]))[:16]))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 12), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


def test_on_a_running_module_the_sizes_do_no_worse_than_uniform_and_the_module_stays():
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.first.weight[6:] *= 0.01  # the first axis has units that hardly matter
        net.first.bias[6:] *= 0.01
    batches = [(torch.randn(16, 5), torch.randint(3, (16,))) for _ in range(2)]
    layout = layouts.from_module(net, batches[0][0])
    method = Method(axes="*", multiple=1, objective="divergence")
    live = Running(net, batches, layout)
    stats = collect(net, batches, method.wants(layout).statistics)
    view = View(net.state_dict(), layout, stats, Budget(keep=0.75), live=live)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    even = replace(method, fractions=(0.5,)).plan(view)
    assert set(sizes(even).values()) == {9}
    free = replace(method, even=False).plan(view)
    assert sum(sizes(free).values()) == 18
    assert live.value(free, objective="divergence") <= live.value(even, objective="divergence")
    assert all(torch.equal(before[n], t) for n, t in net.state_dict().items())


def test_what_is_not_known_is_refused():
    with pytest.raises(PenjingError, match="rank 'energie' is not known; did you mean 'energy'"):
        Method(rank="energie")
    with pytest.raises(PlanError, match="above 0 and below 1"):
        Method(fractions=(1.0,))
    model, layout, stats, _ = given_(Method())
    with pytest.raises(DataError, match="no running model"):
        Method(even=False).plan(View(model, layout, stats, Budget(keep=0.5)))
