"""AMP's scores against a loop written from the paper, and how its search meets budgets."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.tiny import llama
from torch import nn

from penjing import layouts
from penjing.calibrate import collect
from penjing.core import Budget, Plan, Stats, View
from penjing.errors import BudgetError, DataError, PenjingError
from penjing.layouts import costs
from penjing.methods.prune.amp import Method, score
from penjing.running.live import Running


class Watched:
    """A model whose objective grows with the square of what goes, four times as fast in the last axis."""

    examples = 8

    def __init__(self, layout, falls: bool = False) -> None:
        self.layout, self.sign, self.calls = layout, -1 if falls else 1, []

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        self.calls.append((objective, examples))
        gone = {a: 1 - len(u) / self.layout.axes[a].size for a, u in plan.keeps().items()}
        return 2 + self.sign * sum((4 if a == "neurons.1" else 1) * g**2 for a, g in gone.items())


def given_(method: Method, neurons: int = 64, **live):
    """(model, layout, stats, live) with drawn effects."""
    model, layout = llama(neurons=neurons)
    generator = torch.Generator().manual_seed(0)
    wanted = method.wants(layout).statistics
    values = {(t, s): torch.rand(model.shapes[t][1], generator=generator) for t, names in wanted.items() for s in names}
    return model, layout, Stats(values, samples=7), Watched(layout, **live)


def sizes(plan):
    return {a: len(u) for a, u in plan.keeps().items()}


def entropy(z):
    """-1/B sum_i sum_j P_ij log P_ij, entry by entry; 1/tau is 15."""
    z = z / z.norm(dim=1, keepdim=True)
    total = torch.zeros(())
    for i in range(len(z)):
        like = torch.stack([15 * (z[i] * z[j]).sum() for j in range(len(z))])
        for j in range(len(z)):
            total = total - like.softmax(0)[j] * like.log_softmax(0)[j]
    return total / len(z)


def naive(first, second, x):
    """1/B sum_b |sum_t a g| with g = d entropy / d a, times B: the score of one batch [b t d]; ranks alike."""
    a = torch.tanh(first(x)).detach().requires_grad_()
    (g,) = torch.autograd.grad(entropy(second(a).flatten(1)), a)
    return torch.stack([sum((a[b, :, h] * g[b, :, h]).sum().abs() for b in range(len(x))) for h in range(a.shape[2])])


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def test_the_score_from_one_pass_is_that_of_the_loop():
    torch.manual_seed(1)
    net, x = Small().double(), torch.randn(6, 4, 5, dtype=torch.float64)
    layout = layouts.from_module(net, x)
    method = Method(axes="*", multiple=1)
    wanted = method.wants(layout).statistics
    stats = collect(net, [x], wanted)
    key = next(k for k in stats if k[0] == "second.weight")
    expected = naive(net.first, net.second, x).detach()
    torch.testing.assert_close(stats[key].double(), expected, rtol=1e-4, atol=1e-7)  # statistics are float32


@given(units=st.integers(1, 5), fans=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_score_adds_up_channels_and_readers(units, fans, seed):
    g = torch.Generator().manual_seed(seed)
    parts = [torch.rand(units, f, generator=g) for f in fans]
    expected = [sum(float(v) for p in parts for v in p[u]) for u in range(units)]
    torch.testing.assert_close(score(parts), torch.tensor(expected, dtype=torch.float64))


def test_keep_gives_every_axis_its_share_of_the_best_and_runs_nothing():
    method = Method(multiple=1)
    model, layout, stats, live = given_(method)
    plan = method.plan(View(model, layout, stats, Budget(keep=0.25), live=live))
    for i in range(2):
        effects = stats[f"model.layers.{i}.mlp.down_proj.weight", "entropy_taylor"]
        best = sorted(range(64), key=lambda u, e=effects: -float(e[u]))[:16]
        assert plan.keeps()[f"neurons.{i}"] == tuple(sorted(best))
    assert live.calls == []


def test_a_loss_is_never_exceeded_and_the_axis_that_matters_keeps_more():
    method = Method(multiple=1)
    model, layout, stats, live = given_(method)
    plan = method.plan(View(model, layout, stats, Budget(loss=0.2), live=live))
    assert 2.1 < live.value(plan) <= 2.2
    assert sizes(plan)["neurons.1"] > sizes(plan)["neurons.0"]
    assert list(plan.made["search"]["after"]) == ["neurons.1", "neurons.0"]
    assert {objective for objective, _ in live.calls[:-1]} == {"entropy"}
    assert plan.made["search"]["runs"] == len(live.calls) - 1


def test_the_bound_of_the_paper_is_per_axis():
    model, layout, stats, live = given_(Method())
    wide = sizes(Method(multiple=1, bound=0.15).plan(View(model, layout, stats, Budget(loss=0.3), live=live)))
    assert wide == sizes(Method(multiple=1).plan(View(model, layout, stats, Budget(loss=0.3), live=live)))
    tight = Method(multiple=1, bound=0.01).plan(View(model, layout, stats, Budget(loss=0.3), live=live))
    assert live.value(tight) <= 2.02


@pytest.mark.parametrize("unit", ["keep", "parameters", "macs"])
def test_a_searched_budget_is_met_with_sizes_of_their_own(unit):
    method = Method(multiple=1, allocation="searched")
    model, layout, stats, live = given_(method)
    whole = {"keep": 1.0, "parameters": costs.parameters(layout), "macs": costs.macs_per_token(layout)}[unit]
    limit = whole * 0.625 if unit == "keep" else int(whole * 0.8)
    found = sizes(method.plan(View(model, layout, stats, Budget(**{unit: limit}), live=live)))
    cost = {"keep": lambda s: sum(s.values()) / 128, "parameters": lambda s: costs.parameters(layout, s),
            "macs": lambda s: costs.macs_per_token(layout, s)}[unit]  # fmt: skip
    assert cost(found) <= limit < cost({a: n + 1 for a, n in found.items()})
    assert found["neurons.1"] > found["neurons.0"]


def test_a_searched_keep_of_everything_keeps_everything():
    method = Method(allocation="searched")
    model, layout, stats, live = given_(method)
    assert set(sizes(method.plan(View(model, layout, stats, Budget(keep=1.0), live=live))).values()) == {64}


def test_a_fall_passes_only_when_signed():
    model, layout, stats, live = given_(Method(), falls=True)
    assert set(sizes(Method(multiple=1).plan(View(model, layout, stats, Budget(loss=0.01), live=live))).values()) == {1}
    kept = sizes(Method(multiple=1, signed=False).plan(View(model, layout, stats, Budget(loss=0.01), live=live)))
    assert min(kept.values()) > 55


def test_only_the_examples_asked_for_are_run():
    method = Method(multiple=1, examples=3)
    model, layout, stats, live = given_(method)
    method.plan(View(model, layout, stats, Budget(loss=0.1), live=live))
    assert {tuple(e) for _, e in live.calls} == {(0, 1, 2)}


def test_on_a_running_model_the_entropy_rises_by_no_more_than_the_budget_and_the_model_stays():
    torch.manual_seed(2)
    net, batches = Small(), [torch.randn(6, 4, 5) for _ in range(2)]
    layout = layouts.from_module(net, batches[0])
    method = Method(axes="*", multiple=1)
    live = Running(net, batches, layout)
    measured = collect(net, batches, method.wants(layout).statistics)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    whole = live.value(Plan(), objective="entropy")
    views = [View(net.state_dict(), layout, measured, Budget(loss=b), live=live) for b in (0.01, 0.3)]
    plans = [method.plan(v) for v in views]
    rises = [live.value(p, objective="entropy") - whole for p in plans]
    assert rises[0] <= 0.01
    assert rises[1] <= 0.3
    assert sum(sizes(plans[1]).values()) < sum(sizes(plans[0]).values()) <= sum(a.size for a in layout.axes.values())
    assert plans[0].made["search"]["start"] == pytest.approx(whole)
    assert all(torch.equal(before[n], t) for n, t in net.state_dict().items())


def test_what_cannot_be_met_or_is_not_known_is_refused():
    model, layout, stats, live = given_(Method())
    with pytest.raises(PenjingError, match="objective 'entropi' is not known; did you mean 'entropy'"):
        Method(objective="entropi").wants(layout)
    with pytest.raises(PenjingError, match="allocation 'search' is not known"):
        Method(allocation="search").plan(View(model, layout, stats, Budget(keep=0.5), live=live))
    with pytest.raises(BudgetError, match="smallest size"):
        Method(allocation="searched").plan(View(model, layout, stats, Budget(parameters=10), live=live))
    with pytest.raises(BudgetError, match=r"a bound of 0\.001"):
        Method(allocation="searched", bound=0.001).plan(View(model, layout, stats, Budget(keep=0.3), live=live))
    with pytest.raises(DataError, match="no running model"):
        Method().plan(View(model, layout, stats, Budget(loss=0.1)))
    with pytest.raises(DataError, match="not a number"):
        score([torch.tensor([[float("nan")]])])
