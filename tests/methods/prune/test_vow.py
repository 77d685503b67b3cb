"""VOW against a loop written from the paper."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Budget, Stats, View
from penjing.methods import METHODS
from penjing.methods.prune.vow import score

Method = METHODS.type_of("vow")


def naive(gate, up):
    """var(gate[i]) + var(up[i]), the sum of squares about the mean divided by n - 1."""
    scores = []
    for pair in zip(gate.double().tolist(), up.double().tolist(), strict=True):
        means = [sum(row) / len(row) for row in pair]
        scores.append(sum(sum((x - m) ** 2 for x in row) / (len(row) - 1) for row, m in zip(pair, means, strict=True)))
    return torch.tensor(scores, dtype=torch.float32)



@given(units=st.integers(1, 6), fan=st.integers(2, 9), seed=st.integers(0, 99))
def test_equals_the_loop(units, fan, seed):
    g = torch.Generator().manual_seed(seed)
    gate, up = torch.randn(units, fan, generator=g), torch.randn(units, fan, generator=g)
    torch.testing.assert_close(score([gate, up]), naive(gate, up))


def test_the_down_projection_has_no_say():
    model, layout = llama()
    before = Method().plan(View(model, layout, Stats(), Budget(keep=0.5)))
    model.values["model.layers.0.mlp.down_proj.weight"].mul_(torch.arange(24.0))
    assert Method().plan(View(model, layout, Stats(), Budget(keep=0.5))) == before


def test_the_plan_keeps_the_highest_units_of_every_block():
    model, layout = llama(neurons=25)
    plan = Method().plan(View(model, layout, Stats(), Budget(keep=0.6)))
    for i in range(2):
        mlp = f"model.layers.{i}.mlp."
        scores = naive(model[mlp + "gate_proj.weight"], model[mlp + "up_proj.weight"])
        assert plan.keeps()[f"neurons.{i}"] == tuple(sorted(scores.argsort(descending=True)[:15].tolist()))
