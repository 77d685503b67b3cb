"""The integer programme against every choice there is, on small random instances, and on costs that do not add up."""

import itertools
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Budget
from penjing.errors import BudgetError
from penjing.layouts import costs
from penjing.select.knapsack import Option, pick, solve
from penjing.select.uniform import cost

TABLE = st.lists(st.lists(st.integers(-20, 200), min_size=1, max_size=4), min_size=1, max_size=5)


def naive(values, weights, limits):
    """The smallest sum of values of all choices within all limits, or None."""
    best = None
    for choice in itertools.product(*(range(len(g)) for g in values)):
        taken = [sum(g[i] for g, i in zip(w, choice, strict=True)) for w in weights]
        if all(t <= limit for t, limit in zip(taken, limits, strict=True)):
            total = sum(g[i] for g, i in zip(values, choice, strict=True))
            best = total if best is None else min(best, total)
    return best


SCALE = st.sampled_from([1, 640, 0.37])


@given(values=TABLE, share=st.floats(0, 1), rows=st.integers(1, 2), scale=SCALE, data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_choice_within_the_limits_is_better(values, share, rows, scale, data):
    weights = [[[scale * data.draw(st.integers(0, 50)) for _ in g] for g in values] for _ in range(rows)]
    tops = [sum(map(max, w)) for w in weights]
    limits = [share * top for top in tops]
    best, chosen = naive(values, weights, limits), pick(values, weights, limits)
    assert (chosen is None) == (best is None)
    if chosen is not None:
        assert sum(g[i] for g, i in zip(values, chosen, strict=True)) == best
        taken = [sum(g[i] for g, i in zip(w, chosen, strict=True)) for w in weights]
        assert all(t <= limit + 1e-9 for t, limit in zip(taken, limits, strict=True))


def every(groups):
    for choice in itertools.product(*groups.values()):
        yield {a: n for o in choice for a, n in o.sizes.items()}, math.fsum(o.loss for o in choice)


def options(axis, losses, sizes):
    return [Option(sizes={axis: n}, loss=x) for n, x in zip(sizes, losses, strict=True)]


LOSSES = st.lists(st.lists(st.floats(-1, 4), min_size=4, max_size=4), min_size=3, max_size=3)


@given(losses=LOSSES, share=st.floats(0.3, 1), unit=st.sampled_from(["parameters", "bytes", "macs"]))
@settings(max_examples=25, deadline=None)
def test_where_costs_add_up_the_choice_is_the_best_there_is(losses, share, unit):
    model, layout = llama(blocks=2)
    names = ("neurons.0", "neurons.1", "heads.1")
    sizes = {"neurons.0": (24, 16, 8, 1), "neurons.1": (24, 20, 10, 4), "heads.1": (2, 1)}
    groups = {a: options(a, x[: len(sizes[a])], sizes[a]) for a, x in zip(names, losses, strict=True)}
    budget = Budget(**{unit: max(1, int(share * cost(layout, {}, Budget(**{unit: 1}), model)))})
    found = [x for s, x in every(groups) if cost(layout, s, budget, model) <= budget.limit]
    if not found:
        with pytest.raises(BudgetError, match="smallest size"):
            solve(layout, groups, budget, model=model)
        return
    chosen = solve(layout, groups, budget, model=model)
    assert cost(layout, chosen, budget, model) <= budget.limit
    loss = math.fsum(o.loss for g in groups.values() for o in g if o.sizes.items() <= chosen.items())
    assert loss == pytest.approx(min(found), abs=1e-7)


@given(share=st.floats(0.1, 1), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_where_they_do_not_the_budget_is_met_all_the_same(share, seed):
    model, layout = llama(blocks=2, seed=seed)
    groups = {
        "residual": options("residual", (0, 1 + seed, 5), (16, 12, 4)),
        "neurons.0": options("neurons.0", (0, 1, 2, 3), (24, 16, 8, 1)),
        "neurons.1": options("neurons.1", (0, 2, 4, 7), (24, 16, 8, 1)),
    }
    budget = Budget(parameters=int(share * costs.parameters(layout)))
    least = min(cost(layout, s, budget, model) for s, _ in every(groups))
    assume(least <= budget.limit)
    assert cost(layout, solve(layout, groups, budget, model=model), budget, model) <= budget.limit


def test_a_keep_is_of_each_kind_and_the_axis_that_matters_keeps_more():
    model, layout = llama(blocks=2)
    groups = {a: options(a, [w * (1 - n / 24) for n in range(24, 0, -1)], range(24, 0, -1))
              for a, w in (("neurons.0", 1), ("neurons.1", 3))}  # fmt: skip
    groups["heads.0"] = options("heads.0", (0, 5), (2, 1))
    chosen = solve(layout, groups, Budget(keep=0.75), model=model)
    assert chosen == {"neurons.0": 12, "neurons.1": 24, "heads.0": 2}


def test_a_loss_is_kept_with_the_fewest_parameters():
    model, layout = llama(blocks=2)
    groups = {
        "neurons.0": options("neurons.0", (0, 0.1, 0.4), (24, 12, 1)),
        "neurons.1": options("neurons.1", (-0.1, 0.2, 0.3), (24, 12, 1)),
    }
    found = [(costs.parameters(layout, s), x) for s, x in every(groups) if x <= 0.4]
    chosen = solve(layout, groups, Budget(loss=0.4), model=model)
    assert costs.parameters(layout, chosen) == min(found)[0]


def test_groups_move_their_axes_together():
    model, layout = llama(blocks=2)
    both = [Option(sizes={"neurons.0": n, "neurons.1": n}, loss=24 - n) for n in range(24, 0, -1)]
    limit = costs.parameters(layout, {"neurons.0": 9, "neurons.1": 9})
    found = solve(layout, {"neurons": both}, Budget(parameters=limit + 1), model=model)
    assert found == {"neurons.0": 9, "neurons.1": 9}


def test_what_cannot_be_met_is_refused():
    model, layout = llama()
    groups = {"neurons.0": options("neurons.0", (0, 1), (24, 12))}
    with pytest.raises(BudgetError, match="any choice of sizes"):
        solve(layout, groups, Budget(keep=0.25), model=model)
    with pytest.raises(BudgetError, match="needs measuring"):
        solve(layout, groups, Budget(seconds=1.0), model=model)
    with pytest.raises(BudgetError, match="smallest size"):
        solve(layout, groups, Budget(parameters=10), model=model)
