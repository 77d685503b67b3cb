"""SVD-LLM's truncation after whitening, against the paper's order; its maths are held to loops in tests/maths."""

import pytest
import torch
from tests.layouts.modules import Grouped
from tests.methods.tiny import llama
from torch import nn

import penjing
from penjing.core import Budget, Stats, View
from penjing.errors import BudgetError, LayoutError, UnsupportedError
from penjing.layouts import from_module
from penjing.methods.factor.svd import MOMENT, Method


def naive(weight, inputs, rank):
    """Section 3.1 in its order: S from Cholesky of X Xᵀ, SVD of W S, truncated, times the inverse of S."""
    moment = sum(torch.outer(x, x) for x in inputs.double()) / len(inputs)
    s = torch.linalg.cholesky(moment)
    left, values, right = torch.linalg.svd(weight.double() @ s)
    out = torch.zeros_like(weight.double())
    for k in range(rank):
        out += values[k] * torch.outer(left[:, k], right[k] @ torch.linalg.inv(s))
    return out


@pytest.fixture(scope="module")
def measured():
    model, layout = llama(blocks=1)
    inputs, values = {}, {}
    for seed, tensor in enumerate(Method().wants(layout).statistics):
        g, n = torch.Generator().manual_seed(seed), model.shapes[tensor][1]
        inputs[tensor] = torch.randn(60, n, generator=g) @ torch.randn(n, n, generator=g) * torch.linspace(0.2, 2, n)
        values[tensor, MOMENT] = inputs[tensor].T @ inputs[tensor] / 60
    return model, layout, inputs, Stats(values, samples=60)


def test_each_product_is_that_of_the_paper(measured):
    model, layout, inputs, stats = measured
    plan = Method(damping=0.0).plan(View(model, layout, stats, Budget(keep=0.6)))
    assert plan.edits
    for edit in plan:
        tensor, rank = f"{edit.module}.weight", edit.spec.settings["rank"]
        wanted = naive(model[tensor], inputs[tensor], rank)
        found = (edit.values["up.weight"] @ edit.values["down.weight"]).double()
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_without_whitening_it_needs_no_data(measured):
    model, layout, _, _ = measured
    method = Method(whiten=False)
    assert not method.wants(layout)
    plan = method.plan(View(model, layout, Stats(), Budget(keep=0.6)))
    for edit in plan:
        weight = model[f"{edit.module}.weight"]
        error = float((weight - edit.values["up.weight"] @ edit.values["down.weight"]).norm())
        assert plan.made["dropped"][f"{edit.module}.weight"]["error"] == pytest.approx(error, rel=1e-3)


def test_a_matrix_that_its_factors_would_not_make_smaller_stays(measured):
    model, layout, _, _ = measured
    assert not Method(whiten=False).plan(View(model, layout, Stats(), Budget(keep=1.0))).edits


def test_a_limit_that_rank_one_does_not_reach_is_refused(measured):
    model, layout, _, _ = measured
    with pytest.raises(BudgetError, match="at rank 1"):
        Method(whiten=False).plan(View(model, layout, Stats(), Budget(parameters=10)))


def test_what_has_no_rank_is_refused_by_name(measured):
    model, layout, _, _ = measured
    with pytest.raises(LayoutError, match="no weight of a product matches"):
        Method(whiten=False, tensors="nothing*").plan(View(model, layout, Stats(), Budget(keep=0.5)))


def test_a_window_cannot_be_whitened_and_groups_have_no_two_factors():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3))
    layout = from_module(module, torch.randn(1, 3, 8, 8))
    with pytest.raises(UnsupportedError, match="set whiten to false"):
        Method().wants(layout)
    names = [m.tensor for m in Method(whiten=False)._chosen(from_module(Grouped(), torch.randn(1, 3, 8, 8)))]
    weights = {n: m for n, m in Grouped().named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1}
    assert not set(names) & {f"{n}.weight" for n in weights}


def factored(net, **settings):
    given = {"keep": 0.5, "settings": {"whiten": False, **settings}, "progress": False, "measure": False}
    return penjing.shrink(net, example=torch.zeros(2, 16), method="svd", **given).module


def plain_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8)).eval()


def test_what_is_a_product_of_two_already_is_not_made_of_two_again():
    net = factored(plain_net(), protect="2.weight")
    again = factored(net)
    assert [type(again[k]).__name__ for k in (0, 2, 4)] == ["LowRank"] * 3
    assert all(type(again[k].down) is type(again[k].up) is nn.Linear for k in (0, 2, 4))
    with pytest.raises(UnsupportedError, match=r"a product of two already.*method magnitude with axes 'ranks\.\*'"):
        factored(again)


def test_ranks_taken_away_later_leave_the_nearest_product_of_that_rank():
    net = plain_net()
    given = {"keep": 0.5, "settings": {"axes": "ranks.*", "multiple": 1}, "progress": False, "measure": False}
    less = penjing.shrink(factored(net), example=torch.zeros(2, 16), method="magnitude", **given).module
    for k in (0, 2, 4):
        left, values, right = torch.linalg.svd(net[k].weight.detach().double())
        rank = less[k].down.out_features
        nearest = left[:, :rank] * values[:rank] @ right[:rank]
        torch.testing.assert_close(less[k].weight.detach().double(), nearest, rtol=1e-4, atol=1e-5)
