"""Sparse pre-training against a loop written from the paper, masks in the graph and all."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from penjing import layouts
from penjing.core import Budget, Mask, Stats, Update, View
from penjing.errors import BudgetError, LayoutError, PlanError
from penjing.io import open_checkpoint
from penjing.maths.compute_window import window_of_steps
from penjing.methods.sparsify.pretrain import Method
from penjing.select.rankings import largest
from penjing.train import train
from penjing.train.run import rate

RATE, STEPS = 2e-2, 30
QUICK = {"steps": STEPS, "learning_rate": RATE, "every": 3}


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


def planned(net, data, keep=0.2, **settings):
    layout = layouts.from_module(net, torch.zeros(2, 6))
    view = View(open_checkpoint(net), layout, Stats(), Budget(keep=keep), data=data)
    return train(Method(**{**QUICK, **settings}), view, net)


def masks(plan):
    return {e.tensor: e.kept for e in plan if isinstance(e, Mask)}


def naive_masks(weights, gone, keep):
    """One list of all weights, the smallest first; what is gone is smaller than any."""
    every = [(-1.0 if gone[n].flatten()[i] else abs(float(v)), place, n, i)
             for place, n in enumerate(weights) for i, v in enumerate(weights[n].flatten())]  # fmt: skip
    every.sort(key=lambda e: (e[0], e[1], e[3]))
    out = {n: torch.ones(w.numel(), dtype=torch.bool) for n, w in weights.items()}
    for _, _, n, i in every[: min(int(len(every) * round(1 - keep, 12)), len(every) - 1)]:
        out[n][i] = False
    return {n: m.view(weights[n].shape) for n, m in out.items()}


def naive(net, data, keep, every):
    """The paper's training: the forward on weight x mask, the gradient of the mask nought, masks that only shrink."""
    net = copy.deepcopy(net)
    own = dict(net.named_parameters())
    matrices = [n for n, p in own.items() if p.ndim == 2]
    mask = {n: torch.ones_like(own[n], dtype=torch.bool) for n in matrices}
    adam = torch.optim.Adam(own.values(), lr=RATE)
    plan = window_of_steps(STEPS, keep, every=every)
    events = (plan.end - plan.start) // every + 1
    order, generator = [], torch.Generator().manual_seed(0)
    while len(order) < STEPS:
        order += torch.randperm(len(data.batches), generator=generator).tolist()
    for t in range(STEPS + 1):
        if plan.start <= t <= plan.end and (t - plan.start) % every == 0:
            share = keep ** (((t - plan.start) // every + 1) / events)
            mask = naive_masks({n: own[n].detach() for n in matrices}, {n: ~mask[n] for n in matrices}, share)
        if t == STEPS:
            break
        x, y = data.batches[order[t]]
        adam.zero_grad()
        masked = {n: p * mask[n] if n in mask else p for n, p in own.items()}
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
    wanted, there = naive(net, data, 0.2, 3)
    assert {n: m.tolist() for n, m in masks(plan).items()} == {n: m.tolist() for n, m in there.items()}
    for edit in plan:
        if isinstance(edit, Update):
            # The same float32 operations, summed in another order where masks lie in the graph.
            torch.testing.assert_close(edit.values, wanted[edit.tensor], rtol=1e-4, atol=1e-5)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3),
    keep=st.sampled_from([0.1, 0.4, 1.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_one_ranking_over_all_and_nothing_comes_back(shapes, keep, seed):
    g = torch.Generator().manual_seed(seed)
    weights = {str(i): torch.randint(-2, 3, s, generator=g).float() for i, s in enumerate(shapes)}
    before = {n: torch.rand(w.shape, generator=g) < 0.8 for n, w in weights.items()}
    found = largest(weights, before, keep)
    wanted = naive_masks(weights, {n: ~m for n, m in before.items()}, keep)
    for n, mask in found.items():
        assert torch.equal(mask, wanted[n] & before[n])


def test_what_is_kept_and_what_is_told(net, data):
    plan = planned(net, data, keep=0.25)
    whole = sum(m.numel() for m in masks(plan).values())
    assert sum(int(m.sum()) for m in masks(plan).values()) == whole - int(whole * 0.75)
    assert plan.made["average"] == pytest.approx(window_of_steps(STEPS, 0.25, every=3).average, abs=0.02)
    assert 0 < plan.made["least"] <= 0.3


def test_each_matrix_for_itself_if_asked(net, data):
    for mask in masks(planned(net, data, keep=0.25, scope="tensor")).values():
        assert int(mask.sum()) == mask.numel() - int(mask.numel() * 0.75)


def test_what_cannot_be_met_is_refused(net, data):
    with pytest.raises(PlanError, match="needed 0 <= begin <= end <= 1"):
        Method(begin=0.8, end=0.5)
    with pytest.raises(PlanError, match="did you mean 'global'"):
        Method(scope="globl")
    with pytest.raises(PlanError, match="needed 1 or more of both"):
        Method(every=0)
    with pytest.raises(BudgetError, match="the window ends after step"):
        planned(net, data, steps=5, every=10, begin=0.0, end=1.0)
    with pytest.raises(LayoutError, match="no weight of a product matches"):
        planned(net, data, tensors="7.weight")
