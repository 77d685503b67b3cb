"""The loop keeps its hands off the original, is the same each time, and holds masks."""

import copy
from dataclasses import dataclass

import pytest
import torch
from tests.healers.conftest import run_of
from torch import nn

from penjing import layouts
from penjing.core import Budget, Plan, Stats, Update, View, Wants
from penjing.errors import DataError, TrainingError
from penjing.io import open_checkpoint
from penjing.train import loop, train
from penjing.train.run import Run
from penjing.train.schedule import rate


@dataclass(frozen=True, kw_only=True)
class Everything:
    """Trains all and keeps what came of it; masks the first weight of a tensor from a step on."""

    steps: int = 6
    learning_rate: float = 0.05
    mask_from: int = 99

    def wants(self, layout):
        return Wants(data=True)

    def prepare(self, run):
        assert run.step == 0

    def loss(self, run, batch, output):
        return run.objective(batch, output)

    def step(self, run):
        if run.step != self.mask_from:
            return None
        kept = torch.ones_like(run.weight("0.weight"), dtype=torch.bool)
        kept[0, 0] = False
        return {"0.weight": kept}

    def finish(self, run):
        return Plan(tuple(Update(t, v) for t, v in run.changed().items()))


class Data:
    count = 3

    def __init__(self, labels=True):
        g = torch.Generator().manual_seed(0)
        drawn = [torch.randn(8, 4, generator=g) for _ in range(3)]
        self.batches = [(x, (x[:, 0] > 0).long()) if labels else x for x in drawn]

    def again(self):
        return self.batches


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2)).eval()


def view(net, seed=0, data=None):
    layout = layouts.from_module(net, torch.zeros(2, 4))
    return View(open_checkpoint(net), layout, Stats(), Budget(keep=0.5), seed=seed, data=data or Data())


def same(first, second):
    return len(first.edits) == len(second.edits) and all(a == b for a, b in zip(first, second, strict=True))


def test_the_module_is_left_alone_and_so_is_the_generator_of_torch(net):
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    state = torch.random.get_rng_state()
    plan = train(Everything(), view(net), net)
    assert plan.edits
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert [m.training for m in net.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_seed_decides_dropout_and_the_order_of_batches(net):
    first, again, other = (train(Everything(), view(net, seed=s), net) for s in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_what_a_norm_counted_is_part_of_the_result(net):
    changed = {e.tensor for e in train(Everything(), view(net), net)}
    assert {"1.running_mean", "1.running_var", "0.weight", "4.bias"} <= changed
    assert "1.num_batches_tracked" not in changed


def test_a_parameter_that_wants_no_gradient_stays(net):
    @dataclass(frozen=True, kw_only=True)
    class Head(Everything):
        def prepare(self, run):
            run.module[0].requires_grad_(False)

    assert "0.weight" not in {e.tensor for e in train(Head(), view(net), net)}


def test_a_masked_weight_is_zero_and_what_it_was_is_kept(net):
    run = Run(module=copy.deepcopy(net), model=open_checkpoint(net), layout=view(net).layout, budget=Budget(keep=0.5),
              steps=4, learning_rate=0.1)  # fmt: skip
    was = run.module[0].weight.detach().clone()
    kept = torch.ones(6, 4, dtype=torch.bool)
    kept[2, 1] = False
    run.put({"0.weight": kept})
    for x, y in Data().batches:
        run.descend(run.objective((x, y), run.module(x)))
        assert run.module[0].weight[2, 1] == 0
        assert run.weight("0.weight")[2, 1] == was[2, 1]
    assert run.changed()["0.weight"][2, 1] == 0
    run.put({"0.weight": torch.ones(6, 4, dtype=torch.bool)})
    assert run.module[0].weight[2, 1] == was[2, 1]
    assert not torch.equal(run.module[0].weight, was)


def test_it_tells_how_the_loss_fell(net):
    told = train(Everything(steps=60), view(net), net).made["training"]
    assert told["steps"] == 60
    assert told["loss"][1] < told["loss"][0]


def test_the_rate_rises_stays_and_falls():
    rates = [rate(s, 200) for s in range(200)]
    assert rates[0] == 0.1
    assert set(rates[10:150]) == {1.0}
    assert rates[150:] == sorted(rates[150:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


def test_what_cannot_be_trained_is_refused_with_the_reason(net):
    with pytest.raises(DataError, match="loss of a classifier needs labels"):
        train(Everything(), view(net, data=Data(labels=False)), net)
    broken = copy.deepcopy(net)
    broken[0].weight.data[0, 0] = torch.nan
    with pytest.raises(TrainingError, match=r"the loss is nan after 0 steps; lower the learning rate"):
        train(Everything(), view(net), broken)

    @dataclass(frozen=True, kw_only=True)
    class Frozen(Everything):
        def prepare(self, run):
            run.module.requires_grad_(False)

    with pytest.raises(DataError, match="no parameter wants a gradient"):
        train(Frozen(), view(net), net)

    @dataclass(frozen=True, kw_only=True)
    class Crooked(Everything):
        def step(self, run):
            return {"0.weight": torch.ones(2, 2, dtype=torch.bool)}

    with pytest.raises(DataError, match=r"a mask of 0.weight has shape \[2, 2\], needed \[6, 4\]"):
        train(Crooked(), view(net), net)
    with pytest.raises(DataError, match=r"has no tensor '9.weight'"):
        Run(module=net, model=open_checkpoint(net), layout=view(net).layout, budget=Budget(keep=0.5), steps=1,
            learning_rate=0.1).weight("9.weight")  # fmt: skip


class Rewinding(Everything):
    """Takes half of a matrix, and puts everything back in the middle."""

    def step(self, run):
        if run.step == 1:
            run.memory.update({n: t.clone() for n, t in run.module.state_dict().items()})
        if run.step == 4:
            kept = torch.ones_like(run.weight("0.weight"), dtype=torch.bool)
            kept[0] = False
            return {"0.weight": kept}
        if run.step == 6:
            assert run.optimiser.state
            run.rewind(run.memory, steps=20, at=1)
            assert not run.optimiser.state
            seen.append({n: t.clone() for n, t in run.module.state_dict().items()})
            seen.append(run.weight("0.weight").clone())
            seen.append([run.rate(run.step + i) for i in range(3)])
            seen.append(dict(run.memory))
        return None


seen = []


def test_rewinding_restores_values_under_masks_too_and_the_rate(net):
    seen.clear()
    train(Rewinding(), view(net), net)
    now, whole, rates, then = seen
    assert torch.equal(whole, then["0.weight"])
    assert not now["0.weight"][0].any()
    assert torch.equal(now["0.weight"][1:], then["0.weight"][1:])
    assert all(torch.equal(now[n], t) for n, t in then.items() if n != "0.weight")
    assert rates == [rate(i, 20) for i in (1, 2, 3)]


def test_what_cannot_be_put_back_is_refused(net):
    class Wrong(Everything):
        def step(self, run):
            run.rewind({name: torch.zeros(2)}, steps=2, at=0)

    for name, said in (("0.weight", "it has shape"), ("9.weight", "not there")):  # noqa: B007 - the class reads it
        with pytest.raises(DataError, match=said):
            train(Wrong(), view(net), net)


@pytest.mark.parametrize(("units", "worth", "wished", "found"), [
    (True, 1, "auto", True), (True, 10**9, "auto", False), (False, 1, "auto", False), (False, 1, "bfloat16", True),
    (True, 1, "none", False),
])  # fmt: skip
def test_products_are_in_bfloat16_where_it_pays(monkeypatch, units, worth, wished, found):
    monkeypatch.setattr(loop, "has_matrix_units", lambda: units)
    monkeypatch.setattr(loop, "WORTH", worth)
    run = run_of("decoder", autocast=wished)
    with loop.autocast(run):
        assert torch.is_autocast_enabled("cpu") is found
    assert loop.in_bfloat16(run) is found
