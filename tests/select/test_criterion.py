"""What a card and a score become."""

import types
from dataclasses import replace

import pytest
import torch
from tests.methods.tiny import llama

from penjing.core import Budget, Card, Plan, Stats, View, Wants
from penjing.errors import BudgetError, PenjingError
from penjing.select.criterion import method_of

UNITS = Card(title="t", paper="p", removes="units", promise="equals its mask", reads="writing rows")
HALF = Budget(keep=0.5)


def file_of(card, score):
    """A file with nothing but these two."""
    made = types.ModuleType("somewhere.their_score")
    made.CARD, made.score = card, score
    return made


def summed(rows):
    return sum(r.abs().sum(1) for r in rows)


class Running:
    """A model whose outputs depend four times as much on the first block."""

    examples = 2

    def __init__(self, layout):
        self.layout, self.objectives = layout, set()

    def value(self, plan: Plan, *, objective="loss", examples=None) -> float:
        self.objectives.add(objective)
        gone = {a: 1 - len(u) / self.layout.axes[a].size for a, u in plan.keeps().items()}
        return sum((4 if a == "neurons.0" else 1) * g**2 for a, g in gone.items())


def view(budget=HALF, **more):
    model, layout = llama(neurons=64)
    return View(model, layout, Stats(), budget, **more)


def test_the_plan_bears_the_name_of_the_file_and_the_settings():
    made = method_of(file_of(UNITS, summed))(protect=("neurons.0",)).plan(view()).made
    assert made["method"] == "their_score"
    assert made["budget"] == "keep 0.5"
    assert made["settings"]["protect"] == ("neurons.0",)
    assert made["settings"]["allocation"] == "uniform"


def test_the_best_units_of_each_axis_stay():
    seen = view()
    keeps = method_of(file_of(UNITS, summed))().plan(seen).keeps()
    for i in range(2):
        rows = [seen.model[f"model.layers.{i}.mlp.{n}_proj.weight"] for n in ("gate", "up")]
        order = sorted(range(64), key=lambda u: -sum(float(r[u].abs().sum()) for r in rows))
        assert keeps[f"neurons.{i}"] == tuple(sorted(order[:32]))


def test_scores_that_look_at_all_rows_get_the_readers_too():
    counts = []

    def score(rows):
        held = list(rows)
        counts.append(len(held))
        return summed(held)

    method_of(file_of(replace(UNITS, reads="all rows"), score))().plan(view())
    method_of(file_of(UNITS, score))().plan(view())
    assert counts == [3, 3, 2, 2]


def test_a_ranking_over_all_axes_gives_them_widths_of_their_own():
    def score(rows):
        held = list(rows)
        return summed(held)

    seen = view()
    seen.model.values["model.layers.0.mlp.up_proj.weight"].mul_(9)
    method = method_of(file_of(UNITS, score))
    sizes = {how: {a: len(u) for a, u in method(allocation=how, multiple=1).plan(seen).keeps().items()}
             for how in ("uniform", "global", "adaptive")}  # fmt: skip
    assert set(sizes["uniform"].values()) == {32}
    assert sizes["global"]["neurons.0"] > sizes["global"]["neurons.1"]
    assert sizes["adaptive"] != sizes["global"]
    assert all(sum(found.values()) == 64 for found in sizes.values())


def test_sizes_by_sensitivity_follow_the_running_model():
    _, layout = llama(neurons=64)
    method = method_of(file_of(UNITS, summed))(allocation="sensitivity", multiple=1)
    assert method.wants(layout) == Wants(live=True)
    assert method_of(file_of(UNITS, summed))().wants(layout) == Wants()
    live = Running(layout)
    plan = method.plan(view(live=live))
    sizes = {a: len(u) for a, u in plan.keeps().items()}
    assert sizes["neurons.0"] > sizes["neurons.1"]
    assert sum(sizes.values()) == 64
    assert live.objectives == {"divergence"}
    assert set(plan.made["measured"]["increase"]) == {"neurons.0", "neurons.1"}


def test_a_budget_that_cannot_be_met_is_refused_before_a_weight_is_read():
    def score(rows):
        raise AssertionError("weights were read")

    with pytest.raises(BudgetError, match="smallest size"):
        method_of(file_of(UNITS, score))().plan(view(Budget(parameters=10)))


def test_an_unknown_allocation_is_refused():
    with pytest.raises(PenjingError, match="allocation 'globl' is not known; did you mean 'global'"):
        method_of(file_of(UNITS, summed))(allocation="globl")


def test_a_score_that_reads_nothing_draws_from_the_seed_of_the_plan_or_its_own():
    def score(units, generator):
        return torch.rand(units, generator=generator)

    method = method_of(file_of(replace(UNITS, reads="nothing"), score))
    first = method().plan(view(seed=4))
    assert first.edits == method(seed=4).plan(view(seed=1)).edits
    assert first.edits != method().plan(view(seed=5)).edits


def test_a_score_of_weights_becomes_masks():
    method = method_of(file_of(replace(UNITS, reads="weights"), lambda rows: rows.abs()))()
    plan = method.plan(view(Budget(keep=0.75)))
    assert plan.made["zeros"] == sum(int((~e.kept).sum()) for e in plan)
    for edit in plan:
        lost, kept = view().model[edit.tensor].abs()[~edit.kept], view().model[edit.tensor].abs()[edit.kept]
        assert lost.max() <= kept.min()
