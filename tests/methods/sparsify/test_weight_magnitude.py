"""Magnitude of single weights against sorting them one by one."""

import pytest
import torch
from tests.methods.tiny import llama

from penjing.core import Budget, Stats, View
from penjing.errors import BudgetError
from penjing.methods import METHODS

Method = METHODS.type_of("weight_magnitude")


def naive_kept(values, zeros):
    order = sorted(range(len(values)), key=lambda i: (abs(values[i]), i))
    return [i not in set(order[:zeros]) for i in range(len(values))]


@pytest.fixture(scope="module")
def tiny():
    return llama(blocks=1)


def masks(tiny, keep=0.6, **settings):
    plan = Method(**settings).plan(View(*tiny, Stats(), Budget(keep=keep)))
    return plan, {e.tensor: e.kept for e in plan}


def test_scopes_compete_where_they_say(tiny):
    model, _ = tiny
    _, by_row = masks(tiny, scope="row")
    _, by_tensor = masks(tiny, scope="tensor")
    for name, kept in by_row.items():
        rows = model[name].tolist()
        assert kept.tolist() == [naive_kept(r, int(len(r) * 0.4)) for r in rows]
        flat = model[name].flatten().tolist()
        assert by_tensor[name].flatten().tolist() == naive_kept(flat, int(len(flat) * 0.4))
    plan, together = masks(tiny, scope="global")
    flat = torch.cat([model[n].flatten() for n in together]).tolist()
    found = torch.cat([k.flatten() for k in together.values()]).tolist()
    assert found == naive_kept(flat, int(len(flat) * 0.4))
    assert plan.made["zeros"] == found.count(False)
    assert plan.made["weights"] == len(flat)


def test_two_of_four_neighbours_stay(tiny):
    _, found = masks(tiny, keep=0.5, pattern="2:4")
    assert all((k.reshape(-1, 4).sum(1) == 2).all() for k in found.values())


def test_an_unknown_scope_is_refused(tiny):
    with pytest.raises(BudgetError, match="did you mean 'row'"):
        masks(tiny, scope="rows")
