"""CompactifAI's chains on whole models; the maths of a chain are held to loops in tests/maths."""

import pytest
import torch
from tests import trained as tiny
from tests.conformance.conftest import logits, streamed, trained  # noqa: F401
from tests.maths.test_tensor_train import naive_cores, naive_matrix
from tests.methods.tiny import llama
from torch import nn

import penjing
from penjing import surgery
from penjing.core import Budget, Keep, Plan, Stats, View
from penjing.errors import BudgetError, PlanError, UnsupportedError
from penjing.layouts import from_module
from penjing.methods.factor.compactifai import Method
from penjing.nn import settings_of

BIG = {"bond": 10**6}


def planned(budget=None, **settings):
    model, layout = llama(blocks=1)
    return model, Method(**settings).plan(View(model, layout, Stats(), budget or Budget(keep=0.6)))


def naive(weight, how):
    """The matrix of the paper's sweep, entry by entry, and what it misses."""
    cores, error = naive_cores(weight, how.out_digits, how.in_digits, how.bond)
    return naive_matrix(cores), error


def test_each_chain_is_that_of_the_paper_s_sweep():
    model, plan = planned(sites=2)
    assert plan.edits
    for edit in plan:
        weight, told = model[f"{edit.module}.weight"], plan.made["dropped"][f"{edit.module}.weight"]
        how = settings_of(edit.spec)
        wanted, error = naive(weight, how)
        found = naive_matrix([edit.values[f"core{j}"] for j in range(2)])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert told["error"] == pytest.approx(error)
        assert told["numbers"] == sum(v.numel() for v in edit.values.values()) < 0.6 * weight.numel()


def test_a_bond_above_break_even_leaves_the_matrix_whole_and_says_so():
    model, plan = planned(Budget(keep=1.0), bond=7)
    whole = {t for t in model.shapes if "proj" in t} - set(plan.made["dropped"])
    assert whole
    assert plan.edits
    assert {n.split()[0] for n in plan.made["notes"]} == whole
    assert "a bond of 7 takes" in plan.made["notes"][0]
    with pytest.raises(PlanError, match="ask for a smaller bond"):
        planned(Budget(keep=1.0), **BIG)


def test_without_a_bond_all_of_the_numbers_is_no_change():
    assert not planned(Budget(keep=1.0))[1].edits


def test_a_limit_that_bond_one_does_not_reach_is_refused():
    with pytest.raises(BudgetError, match="at bond 1"):
        planned(Budget(parameters=10))


def test_convolutions_are_refused_with_the_method_for_them():
    layout = from_module(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3)), torch.randn(1, 3, 8, 8))
    with pytest.raises(UnsupportedError, match="there is the method tucker"):
        Method().wants(layout)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(PlanError, match="found sites 1"):
        Method(sites=1)
    with pytest.raises(PlanError, match="fractions are"):
        Method(fractions=(1.5,))


class Drawn:
    """A running model whose loss tells of the second block alone: what it misses there counts."""

    examples = 2

    def __init__(self, model):
        self.model = model

    def value(self, plan, *, objective="loss", examples=None):
        return sum(
            float((self.model[f"{e.module}.weight"].double() - naive_matrix(list(e.values.values()))).square().sum())
            for e in plan if ".1." in e.module
        )  # fmt: skip


@pytest.mark.parametrize("budget", [Budget(keep=0.7), Budget(loss=1e-3)])
def test_measured_shares_spare_the_block_that_the_loss_tells_of(budget):
    model, layout = llama(blocks=2)
    layout = replace_blocks(layout)
    live = Drawn(model)
    plan = Method(ranks="measured", sites=2).plan(View(model, layout, Stats(), budget, live=live))
    profile = plan.made["measured"]
    assert set(profile) == {"model.layers.0", "model.layers.1"}
    assert all(v == 0 for v in profile["model.layers.0"].values())
    assert 0 < profile["model.layers.1"]["0.75"] < profile["model.layers.1"]["0.25"]
    left = {k: sum(d["numbers"] for t, d in plan.made["dropped"].items() if f".{k}." in t) for k in "01"}
    if budget.loss is not None:
        assert not left["1"]  # whole
        return
    whole = sum(model[t].numel() for t in model.shapes if "proj" in t)
    stays = whole - sum(d["numbers_before"] - d["numbers"] for d in plan.made["dropped"].values())
    assert stays <= 0.7 * whole
    assert left["1"] == 0 or left["0"] < left["1"]


def replace_blocks(layout):
    from dataclasses import replace

    from penjing.core import Blocks

    return replace(layout, blocks=(Blocks(axis="blocks", path="model.layers", size=2),))


def test_the_way_that_was_measured_is_in_the_plan():
    _, plan = planned(way="measured", tokens=1)
    assert {e.spec.settings["way"] for e in plan} <= {"left", "right", "matrix"}
    _, plan = planned(way="right")
    assert {e.spec.settings["way"] for e in plan} == {"right"}


def test_a_chain_at_full_bond_is_the_same_model(trained, tmp_path):  # noqa: F811
    """Bigger than the matrix, so no plan makes it; the module does not mind."""
    from penjing.core import Replace, Spec
    from penjing.maths.tensor_train import decompose, digits, widest

    path, edits = "model.layers.0.mlp.up_proj", []
    with trained.open() as checkpoint:
        weight = checkpoint[f"{path}.weight"]
        legs = [digits(n, 3) for n in weight.shape]
        bond = widest(*legs)
        outs, ins = ("x".join(map(str, d)) for d in legs)
        cores = decompose(weight, *legs, bond).cores
        values = {f"core{j}": c for j, c in enumerate(cores)}
        edits.append(Replace(path, Spec("mpo", {"outs": outs, "ins": ins, "bond": bond, "way": "left"}), values))
    out = streamed(trained, Plan(tuple(edits)), tmp_path / "out")
    before, after = (logits(m, trained.rows[:2]) for m in (trained.module(), penjing.load(out)))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_a_cut_of_what_a_chain_holds_is_refused_and_the_other_way_round_too(trained, tmp_path):  # noqa: F811
    plan = trained.plan("compactifai", Budget(keep=0.5))
    narrow = Plan((Keep("neurons.0", tuple(range(80))), Keep("neurons.1", tuple(range(80)))))
    with trained.open() as checkpoint:
        with pytest.raises(PlanError, match="holds its size as a product; cut it before"):
            surgery.verify(checkpoint, trained.layout, plan + narrow)
        with pytest.raises(PlanError, match="carry the cut out first"):
            surgery.verify(checkpoint, trained.layout, narrow + plan)
    streamed(trained, narrow, tmp_path / "narrow")
    second = penjing.plan(tmp_path / "narrow", method="compactifai", keep=0.5)
    penjing.apply(tmp_path / "narrow", second, tmp_path / "out", reopening=False)
    opened = penjing.load(tmp_path / "out")
    assert opened.model.layers[0].mlp.up_proj.out_features == 80
    assert logits(opened, trained.rows[:2]).isfinite().all()


def test_blocks_are_dropped_of_what_was_written(trained, tmp_path):  # noqa: F811
    plan, fewer = trained.plan("compactifai", Budget(keep=0.5)), Plan((Keep("blocks", (1,)),))
    with trained.open() as checkpoint, pytest.raises(PlanError, match="drop blocks and cut axes in two steps"):
        surgery.verify(checkpoint, trained.layout, plan + fewer)
    out = streamed(trained, plan, tmp_path / "out")
    penjing.apply(out, fewer, tmp_path / "fewer", reopening=False)
    short = penjing.load(tmp_path / "fewer")
    assert len(short.model.layers) == 1
    assert logits(short, trained.rows[:2]).isfinite().all()


@pytest.mark.parametrize("way", ["left", "matrix"])
def test_the_multiply_adds_that_are_told_are_those_of_the_chains(trained, way):  # noqa: F811
    plan = trained.plan("compactifai", Budget(keep=0.5), way=way)
    with trained.open() as checkpoint:
        told = surgery.verify(checkpoint, trained.layout, plan)
    each, once = (sum(d[k] for d in plan.made["dropped"].values()) for k in ("multiply_adds", "multiply_adds_once"))
    before = sum(d["numbers_before"] for d in plan.made["dropped"].values())
    assert told.after.macs_per_token - told.before.macs_per_token == each - before
    assert told.after.macs - told.before.macs == 512 * (each - before) + once


def test_training_heals_a_chain(trained):  # noqa: F811
    plan = trained.plan("compactifai", Budget(keep=0.5))
    module = surgery.apply(trained.module(), trained.layout, plan)
    rows = tiny.text_rows(64)
    before = tiny.perplexity(module, rows)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)
    for start in range(0, 64, 16):
        module(rows[start : start + 16], labels=rows[start : start + 16]).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert tiny.perplexity(module, rows) < before
