"""What every method that leaves out blocks, or parts of them, must do; nothing here names a method."""

import pytest
import torch
from tests.conformance.conftest import dropping, logits, stored, streamed

import penjing
from penjing import surgery
from penjing.core import Budget
from penjing.layouts import costs

EVERY = pytest.mark.parametrize("name", dropping())


def test_the_family_is_found():
    assert dropping()


@EVERY
def test_half_of_two_is_one(name, trained):
    plan = trained.plan(name, Budget(keep=0.5))
    assert [len(units) for units in plan.keeps().values()] in ([1], [])
    assert len(plan.edits) == 1


@EVERY
@pytest.mark.parametrize("unit", ["parameters", "macs"])
def test_a_limit_is_met_and_what_was_told_is_what_is_left(name, trained, unit):
    whole = costs.parameters(trained.layout) if unit == "parameters" else costs.macs_per_token(trained.layout)
    limit = int(whole * 0.95)
    plan = trained.plan(name, Budget(**{unit: limit}))
    with trained.open() as checkpoint:
        told = surgery.verify(checkpoint, trained.layout, plan).after
    assert (told.parameters if unit == "parameters" else told.macs_per_token) <= limit
    assert len(plan.edits) == 1


@EVERY
def test_the_result_opens_and_is_the_same_as_in_memory(name, trained, tmp_path):
    plan = trained.plan(name, Budget(keep=0.5))
    out = streamed(trained, plan, tmp_path / "out")
    opened, in_memory = penjing.load(out), surgery.apply(trained.module(), trained.layout, plan)
    assert all(torch.equal(t, in_memory.state_dict()[n]) for n, t in stored(out).items())
    rows = torch.arange(24).view(2, 12)
    assert torch.equal(logits(opened, rows), logits(in_memory.eval(), rows))
