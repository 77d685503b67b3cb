"""Gradual magnitude pruning against a loop written from the paper, masks in the graph and all."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import trained as tiny
from torch import nn
from torch.nn import functional as F

from penjing import layouts, surgery
from penjing.core import Budget, Mask, Stats, Update, View
from penjing.errors import BudgetError, DataError, LayoutError, PlanError
from penjing.io import open_checkpoint
from penjing.methods.sparsify.gradual_magnitude import Method, kept
from penjing.train import train
from penjing.train.run import rate

RATE, STEPS = 2e-2, 24
QUICK = {"steps": STEPS, "learning_rate": RATE, "every": 3, "begin": 0.25, "end": 0.7}


class Data:
    """Batches that can be had again."""

    def __init__(self, batches):
        self.batches, self.count = batches, len(batches)

    def again(self):
        return self.batches


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))


@pytest.fixture(scope="module")
def data():
    g = torch.Generator().manual_seed(1)
    drawn = [torch.randn(10, 6, generator=g) for _ in range(4)]
    return Data([(x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()) for x in drawn])


def planned(net, data, keep=0.2, seed=0, **settings):
    view = View(open_checkpoint(net), layouts.from_module(net, torch.zeros(2, 6)), Stats(), Budget(keep=keep),
                seed=seed, data=data)  # fmt: skip
    return train(Method(**{**QUICK, **settings}), view, net)


def values(plan):
    return {e.tensor: e.values for e in plan if isinstance(e, Update)}


def masks(plan):
    return {e.tensor: e.kept for e in plan if isinstance(e, Mask)}


def naive_share(t, t0, t1, first, last):
    """Equation 1, of the share that goes: s = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3."""
    final, initial = 1 - last, 1 - first
    if t >= t1:
        return final
    return final + (initial - final) * (1 - (t - t0) / (t1 - t0)) ** 3


def naive_mask(w, sparsity):
    """The largest |w| stay; of equal ones those that come later."""
    flat = w.flatten().tolist()
    order = sorted(range(len(flat)), key=lambda i: (abs(flat[i]), i))
    out = torch.ones(len(flat), dtype=torch.bool)
    for i in order[: min(math.floor(len(flat) * round(sparsity, 12)), len(flat) - 1)]:
        out[i] = False
    return out.view(w.shape)


def naive(net, data, keep, every, begin, end):
    """The paper's training: variables and masks side by side, the forward on their product, the update masked too."""
    net = copy.deepcopy(net)
    own = dict(net.named_parameters())
    matrices = [n for n, p in own.items() if p.ndim == 2]
    mask = {n: torch.ones_like(own[n], dtype=torch.bool) for n in matrices}
    adam = torch.optim.Adam(own.values(), lr=RATE)
    t0, t1 = round(begin * STEPS), round(end * STEPS)
    order = []
    generator = torch.Generator().manual_seed(0)
    while len(order) < STEPS:
        order += torch.randperm(len(data.batches), generator=generator).tolist()
    for t in range(STEPS + 1):
        if t0 <= t <= t1 and ((t - t0) % every == 0 or t == t1):
            share = naive_share(t, t0, t1, 1.0, keep)
            mask = {n: naive_mask(own[n].detach(), share) for n in matrices}
        if t == STEPS:
            break
        x, y = data.batches[order[t]]
        masked = {n: p * mask[n] if n in mask else p for n, p in own.items()}
        adam.zero_grad()
        F.cross_entropy(torch.func.functional_call(net, masked, (x,)), y).backward()
        nn.utils.clip_grad_norm_(own.values(), 1.0)
        for group in adam.param_groups:
            group["lr"] = RATE * rate(t, STEPS)
        before = {n: p.detach().clone() for n, p in own.items()}
        adam.step()
        with torch.no_grad():
            for n in matrices:
                own[n].copy_(torch.where(mask[n], own[n], before[n]))
    return {n: (p * mask[n] if n in mask else p).detach() for n, p in own.items()}, mask


def test_equals_the_loop_from_the_paper(net, data):
    plan = planned(net, data)
    wanted, kept_there = naive(net, data, 0.2, 3, 0.25, 0.7)
    assert set(masks(plan)) == set(kept_there)
    for name, mask in masks(plan).items():
        assert torch.equal(mask, kept_there[name]), name
    assert set(values(plan)) == set(wanted)
    for name, found in values(plan).items():
        # The same float32 operations, summed in another order where masks lie in the graph.
        torch.testing.assert_close(found, wanted[name], rtol=1e-4, atol=1e-5)


@given(
    rows=st.integers(1, 5), columns=st.integers(1, 7), keep=st.sampled_from([0.05, 0.3, 0.5, 1.0]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_largest_stay_and_one_at_least(rows, columns, keep, seed):
    w = torch.randint(-3, 4, (rows, columns), generator=torch.Generator().manual_seed(seed)).float()
    assert torch.equal(kept(w, keep), naive_mask(w, 1 - keep))
    assert kept(w, keep).any()


def test_a_weight_may_come_back_with_the_value_that_it_had(net, data):
    class Watched(Method):
        def step(self, run):
            held = {t: (run.masks[t].clone(), run.weight(t).clone()) for t in run.masks}
            made = super().step(run)
            for t, mask in (made or {}).items():
                if t in held:
                    back = mask & ~held[t][0]
                    seen.append(int(back.sum()))
                    frozen[t] = held[t][1][back]
                    returned[t] = run.weight(t)[back]
            return made

    seen, frozen, returned = [], {}, {}
    view = View(open_checkpoint(net), layouts.from_module(net, torch.zeros(2, 6)), Stats(), Budget(keep=0.5), data=data)
    train(Watched(**{**QUICK, "steps": 60, "every": 1}), view, net)
    assert sum(seen)  # with this data some do
    assert all(torch.equal(frozen[t], returned[t]) for t in frozen)
    seen.clear()
    train(Watched(**{**QUICK, "steps": 60, "every": 1, "returning": False}), view, net)
    assert not sum(seen)


def test_all_at_once_is_magnitude_and_a_fixed_mask(net, data):
    plan = planned(net, data, begin=0.0, end=0.0)
    for name, mask in masks(plan).items():
        assert torch.equal(mask, naive_mask(net.state_dict()[name], 0.8))


def test_the_last_update_is_made_at_the_end_of_the_ramp_in_any_case(net, data):
    plan = planned(net, data, keep=0.1, every=1000)
    assert plan.made["zeros"] == sum(min(math.floor(m.numel() * 0.9), m.numel() - 1) for m in masks(plan).values())


def test_what_is_protected_is_trained_and_stays_whole(net, data):
    plan = planned(net, data, protect=("4.weight",))
    assert "4.weight" not in masks(plan)
    assert "4.weight" in values(plan)


def test_what_cannot_be_met_is_refused(net, data):
    with pytest.raises(PlanError, match="needed 0 <= begin <= end <= 1"):
        Method(begin=0.8, end=0.5)
    with pytest.raises(PlanError, match="1 or more"):
        Method(steps=0)
    with pytest.raises(BudgetError, match=r"first is 0\.5"):
        planned(net, data, keep=0.7, first=0.5)
    layout = layouts.from_module(net, torch.zeros(2, 6))
    view = View(open_checkpoint(net), layout, Stats(), Budget(bytes=9), data=data)
    with pytest.raises(BudgetError, match="leaves every shape as it is"):
        train(Method(**QUICK), view, net)
    with pytest.raises(LayoutError, match="no weight of a product matches"):
        planned(net, data, tensors="7.weight")
    with pytest.raises(DataError, match="no data to train on"):
        planned(net, Data([]))


@pytest.mark.nightly  # 400 steps of training
def test_beats_zeroing_all_at_once_at_the_same_density_after_as_many_steps(request):
    folder = tiny.folder(request.config.cache)
    held_out, rows = tiny.text_rows(128, kind="evaluation"), tiny.text_rows(512)
    checkpoint = open_checkpoint(folder)
    layout = layouts.from_config(checkpoint.config, stored=checkpoint.shapes)
    view = View(checkpoint, layout, Stats(), Budget(keep=0.05), data=Data(rows.split(16)))
    found = {}
    for begin, end in ((0.1, 0.75), (0.0, 0.0)):
        method = Method(steps=200, learning_rate=4e-3, every=5, begin=begin, end=end)
        plan = train(method, view, tiny.load(folder, torch.float32))
        assert all(int(m.sum()) == math.ceil(m.numel() * 0.05) for m in masks(plan).values())
        found[end] = tiny.perplexity(surgery.apply(tiny.load(folder, torch.float32), layout, plan), held_out)
    assert found[0.75] < 0.99 * found[0.0], found
