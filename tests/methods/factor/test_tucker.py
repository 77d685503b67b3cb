"""Tucker on a small convolutional network, and on matrices, where it is the truncated singular values."""

import pytest
import torch
from tests.methods.tiny import llama
from torch import nn

import penjing
from penjing import surgery
from penjing.core import Budget, Keep, Plan, Stats, View
from penjing.errors import BudgetError, PlanError
from penjing.io import open_checkpoint
from penjing.layouts import from_module
from penjing.methods.factor.svd import Method as Svd
from penjing.methods.factor.tucker import Method


class Net(nn.Module):
    """Strides, padding, dilation, a depthwise window, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.wide = nn.Conv2d(12, 20, 3, padding=2, dilation=2)
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        x = self.wide(torch.relu(self.deep(torch.relu(self.stem(x)))))
        return self.head(torch.relu(x).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    module, example = Net().eval(), torch.randn(2, 3, 16, 16)
    return module, example, from_module(module, example)


def planned(module, layout, budget, **settings):
    return Method(**settings).plan(View(open_checkpoint(module), layout, Stats(), budget))


def naive(values):
    """[out in *window]: the kernel of three factors, entry by entry."""
    last, core, first = (values[f"{n}.weight"].detach() for n in ("last", "core", "first"))
    made = torch.zeros(len(last), first.shape[1], *core.shape[2:])
    for o in range(len(last)):
        for i in range(first.shape[1]):
            made[o, i] = sum(
                last[o, a, 0, 0] * core[a, b] * first[b, i, 0, 0] for a in range(len(core)) for b in range(len(first))
            )
    return made


def test_windows_become_three_and_what_has_groups_stays(net):
    module, example, layout = net
    plan = planned(module, layout, Budget(keep=0.5))
    kinds = {e.module: e.spec.kind for e in plan}
    assert kinds == {"stem": "tucker_conv", "wide": "tucker_conv", "head": "low_rank"}
    told = surgery.verify(open_checkpoint(module), layout, plan)
    smaller = surgery.apply(module, layout, plan)
    assert smaller(example).shape == (2, 5)
    assert told.after.parameters == sum(p.numel() for p in smaller.parameters()) < told.before.parameters
    for edit in plan:
        before, after = (m.get_submodule(edit.module).weight.detach() for m in (module, smaller))
        missed = float((before - after).norm())
        if edit.spec.kind == "tucker_conv":
            torch.testing.assert_close(after, naive(edit.values), rtol=1e-4, atol=1e-5)
        assert plan.made["dropped"][f"{edit.module}.weight"]["error"] == pytest.approx(missed, rel=1e-3)


def test_a_channel_cut_goes_through_the_factors(net):
    module, example, layout = net
    plan = planned(module, layout, Budget(keep=0.5))
    axis = next(a.name for a in layout.axes.values() if a.state == "free" and a.size == 20)
    both = plan + Plan((Keep(axis, tuple(range(0, 20, 2))),))
    cut, masked = surgery.apply(module, layout, both), surgery.masked(module, layout, both)
    torch.testing.assert_close(cut(example), masked(example), rtol=1e-4, atol=1e-5)
    assert cut.wide.last.out_channels == 10


def test_multiply_adds_are_counted_and_a_limit_is_met(net):
    module, _, layout = net
    macs = penjing.layout(module, example=torch.randn(1, 3, 16, 16)).work
    assert macs
    from penjing.layouts import costs

    limit = int(0.7 * costs.macs(layout))
    plan = planned(module, layout, Budget(macs=limit))
    assert 0.5 * limit < surgery.verify(open_checkpoint(module), layout, plan).after.macs <= limit
    with pytest.raises(BudgetError, match="at rank 1"):
        planned(module, layout, Budget(parameters=3))


def test_of_matrices_it_keeps_the_largest_singular_values():
    model, layout = llama(blocks=1)
    view = View(model, layout, Stats(), Budget(keep=0.6))
    assert Method().plan(view).edits == Svd(whiten=False).plan(view).edits
    assert not Method().plan(View(model, layout, Stats(), Budget(keep=1.0))).edits


def test_sweeps_below_zero_are_refused():
    with pytest.raises(PlanError, match="found -1 sweeps"):
        Method(sweeps=-1)
