"""iCBS on a small network that really runs: density, model of the loss, and gain."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from tests.methods.tiny import Tensors
from torch import nn
from torch.func import functional_call

from penjing import layouts
from penjing.core import Budget, Plan, Stats, View
from penjing.errors import DataError, PlanError
from penjing.methods.sparsify.icbs import Method, block_of, steps_for


@dataclass
class Running:
    """A classifier and its examples, with masks as the only edits."""

    module: nn.Module
    x: torch.Tensor
    y: torch.Tensor

    @property
    def examples(self):
        return len(self.x)

    def _loss(self, weights, chosen):
        return nn.functional.cross_entropy(functional_call(self.module, weights, (self.x[chosen],)), self.y[chosen])

    def _weights(self, plan):
        weights = {n: p.detach().clone() for n, p in self.module.named_parameters()}
        for edit in plan:
            weights[edit.tensor] *= edit.kept
        return weights

    def value(self, plan, *, objective="loss", examples=None):
        return float(self._loss(self._weights(plan), list(examples or range(len(self.x)))))

    def gradients(self, tensors, plan, *, objective="loss", examples=None) -> Mapping:
        weights = self._weights(plan)
        for name in tensors:
            weights[name].requires_grad_()
        for i in examples or range(len(self.x)):
            found = torch.autograd.grad(self._loss(weights, [i]), [weights[n] for n in tensors])
            yield dict(zip(tensors, found, strict=True))


@pytest.fixture(scope="module")
def ready():
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 12, generator=g)
    y = torch.arange(240) % 4
    x = centres[y] + 0.7 * torch.randn(240, 12, generator=g)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))
    solver = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        solver.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        solver.step()
    model = Tensors({n: p.detach().clone() for n, p in net.named_parameters()}, {})
    return model, layouts.from_module(net, x[:2]), Running(net, x, y)


def naive_block(scores, kept, free, size):
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    pruned = [i for i in reversed(order) if free[i] and not kept[i]][: size // 2]
    return pruned, [i for i in order if free[i] and kept[i]][: size - size // 2]


def test_a_block_holds_the_most_doubtful_of_both_sides():
    g = torch.Generator().manual_seed(0)
    scores, kept, free = torch.rand(40, generator=g), torch.rand(40) < 0.5, torch.rand(40) < 0.7
    back, out = block_of(scores, kept, free, 11)
    assert (back.tolist(), out.tolist()) == naive_block(scores.tolist(), kept.tolist(), free.tolist(), 11)


def test_steps_follow_the_logarithm_of_sizes():
    found = steps_for([100, 10_000], 30, torch.Generator().manual_seed(0))
    assert sorted(found) == [0] * 10 + [1] * 20
    assert len(set(steps_for([5] * 6, 4, torch.Generator().manual_seed(0)))) == 4


def test_the_loss_falls_at_exactly_the_same_density(ready):
    model, layout, live = ready
    method = Method(start="magnitude", steps=16, block=24, batch=240, fix_pruned=0.0, fix_kept=0.0)
    plan = method.plan(View(model, layout, Stats(), Budget(keep=0.25), live=live))
    begun = Method(start="magnitude", epochs=0).plan(View(model, layout, Stats(), Budget(keep=0.25), live=live))
    assert [int(e.kept.sum()) for e in plan] == [int(e.kept.sum()) for e in begun]
    assert live.value(plan) < 0.8 * live.value(begun)
    curve = plan.made["curve"]
    assert [c["step"] for c in curve] == list(range(1, 17))
    assert all(c["predicted"] <= 1e-9 for c in curve)
    assert curve[0]["loss_before"] == pytest.approx(live.value(begun))
    assert curve[-1]["loss_after"] == pytest.approx(live.value(plan))
    agree = [(c["loss_after"] - c["loss_before"]) <= 0 for c in curve if c["swapped"]]
    assert sum(agree) > len(agree) / 2


def test_the_same_seed_decides_alike_and_the_module_is_left_alone(ready):
    model, layout, live = ready
    before = {n: p.clone() for n, p in live.module.state_dict().items()}
    method = Method(start="magnitude", steps=3, block=10, seed=5)
    first, again = (method.plan(View(model, layout, Stats(), Budget(keep=0.5), live=live)) for _ in range(2))
    assert all(a == b for a, b in zip(first, again, strict=True))
    assert all(torch.equal(before[n], p) for n, p in live.module.state_dict().items())


def test_large_gradients_are_computed_twice_to_the_same_end(ready, monkeypatch):
    model, layout, live = ready
    method = Method(start="magnitude", steps=3, block=10)
    view = View(model, layout, Stats(), Budget(keep=0.5), live=live)
    held = method.plan(view)
    monkeypatch.setattr("penjing.methods.sparsify.icbs.HELD_BYTES", 0)
    assert all(a == b for a, b in zip(held, method.plan(view), strict=True))


def test_refuses_without_a_running_model_or_a_known_start(ready):
    model, layout, live = ready
    with pytest.raises(DataError, match="no running model"):
        Method(start="magnitude").plan(View(model, layout, Stats(), Budget(keep=0.5)))
    with pytest.raises(PlanError, match="did you mean 'wanda'"):
        Method(start="wand").plan(View(model, layout, Stats(), Budget(keep=0.5), live=live))
    assert isinstance(Method(start="magnitude").plan(View(model, layout, Stats(), Budget(keep=1.0))), Plan)
