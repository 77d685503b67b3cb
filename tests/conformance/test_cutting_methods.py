"""What every method that takes units away must do; nothing here names a method but `random`, the one to beat."""

import pytest
from tests.conformance.conftest import logits, methods
from tests.trained import perplexity

from penjing import surgery
from penjing.core import Budget
from penjing.layouts import costs

METHODS = pytest.mark.parametrize("name", methods(sparse=False))


@METHODS
@pytest.mark.parametrize("keep", [0.9, 0.51, 0.2])
def test_keep_is_met_to_within_one_unit(name, trained, keep):
    for axis, units in trained.plan(name, Budget(keep=keep), multiple=1).keeps().items():
        assert abs(len(units) - keep * trained.layout.axes[axis].size) <= 1
        assert list(units) == sorted(set(units))


@METHODS
@pytest.mark.parametrize("unit", ["parameters", "bytes", "macs"])
def test_a_limit_is_met_and_one_unit_more_would_break_it(name, trained, unit):
    layout = trained.layout
    with trained.open() as checkpoint:
        dtypes = dict(checkpoint.dtypes)

    def cost(sizes=None):
        if unit == "bytes":
            return costs.weight_bytes(layout, dtypes, sizes)
        return (costs.parameters if unit == "parameters" else costs.macs_per_token)(layout, sizes)

    limit = int(cost() * 0.8)
    keeps = trained.plan(name, Budget(**{unit: limit}), multiple=1).keeps()
    found = {axis: len(units) for axis, units in keeps.items()}
    assert cost(found) <= limit < cost({axis: n + 1 for axis, n in found.items()})


@METHODS
def test_protected_axes_are_left_whole(name, trained):
    axis = trained.layout.match("neurons.*")[0].name
    assert axis not in trained.plan(name, Budget(keep=0.5), protect=(axis,)).keeps()


@METHODS
def test_heads_can_be_cut(name, trained, held_out):
    plan = trained.plan(name, Budget(keep=0.5), axes="heads")
    smaller = surgery.apply(trained.module(), trained.layout, plan)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in trained.module().parameters())
    assert logits(smaller, held_out[:2]).isfinite().all()


@pytest.fixture(scope="module")
def chance(trained, held_out) -> float:
    """The mean perplexity of random choice over five seeds at keep 0.75."""
    plans = [trained.plan("random", Budget(keep=0.75), seed=seed) for seed in range(5)]
    found = [perplexity(surgery.apply(trained.module(), trained.layout, p), held_out) for p in plans]
    return sum(found) / len(found)


@pytest.mark.parametrize("name", [n for n in methods(sparse=False) if n != "random"])
def test_beats_random_choice_at_equal_budget(name, trained, held_out, chance):
    plan = trained.plan(name, Budget(keep=0.75))
    assert perplexity(surgery.apply(trained.module(), trained.layout, plan), held_out) < chance
