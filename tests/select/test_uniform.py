"""One fraction for every axis."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import Tensors, layout_of, llama

from penjing.core import Axis, Budget
from penjing.errors import BudgetError
from penjing.layouts import costs
from penjing.select.uniform import sizes


def mlp(neurons, least=1):
    model = Tensors({"up": torch.zeros(neurons, 3), "down": torch.zeros(3, neurons)}, {})
    axes = [Axis(name="neurons.0", size=neurons, state="free", least=least)]
    return model, layout_of(model, {"up": "neurons.0 3", "down": "3 neurons.0"}, axes, {"up": (1,), "down": (1,)})


def solve(layout, model, budget, *, axes="neurons", multiple=None):
    return sizes(layout, layout.match(axes), budget, model=model, multiple=multiple)


@given(neurons=st.integers(1, 99), keep=st.integers(1, 40).map(lambda n: n / 40))
def test_keep_is_met_to_within_half_a_unit(neurons, keep):
    model, layout = mlp(neurons)
    if keep * neurons < 0.5:
        with pytest.raises(BudgetError, match="leaves none"):
            solve(layout, model, Budget(keep=keep), multiple=1)
    else:
        assert abs(solve(layout, model, Budget(keep=keep), multiple=1)["neurons.0"] - keep * neurons) <= 0.5


@pytest.mark.parametrize(
    ("neurons", "keep", "count"),
    [(1536, 0.9, 1408), (1536, 0.75, 1152), (160, 0.5, 80), (60, 0.5, 30), (100, 1.0, 100)],
)
def test_widths_are_rounded_to_what_hardware_likes(neurons, keep, count):
    model, layout = mlp(neurons)
    assert solve(layout, model, Budget(keep=keep)) == {"neurons.0": count}


def test_too_small_a_share_says_what_can_be_reached():
    model, layout = mlp(6)
    with pytest.raises(BudgetError, match=r"keeping 0.1 of 6 units in multiples of 4 leaves none; keep at least 0.667"):
        solve(layout, model, Budget(keep=0.1), multiple=4)


def test_an_axis_that_needs_some_units_keeps_them():
    model, layout = mlp(8, least=2)
    assert solve(layout, model, Budget(parameters=12), multiple=1) == {"neurons.0": 2}
    with pytest.raises(BudgetError, match="fewer than the 2 it needs"):
        solve(layout, model, Budget(keep=0.1), multiple=1)


def test_heads_are_cut_in_single_units():
    model, layout = llama(neurons=64)
    found = solve(layout, model, Budget(keep=0.5), axes="neurons,heads")
    assert found == {"neurons.0": 32, "neurons.1": 32, "heads.0": 1, "heads.1": 1}
    assert solve(layout, model, Budget(keep=0.5), axes="heads", multiple=64) == {"heads.0": 1, "heads.1": 1}


@given(share=st.integers(1, 99), unit=st.sampled_from(["parameters", "bytes", "macs"]), step=st.sampled_from([1, 8]))
def test_a_limit_is_met_by_the_largest_sizes_that_fit(share, unit, step):
    model, layout = llama(neurons=40)

    def cost(count):
        held = {"neurons.0": count, "neurons.1": count}
        if unit == "parameters":
            return costs.parameters(layout, held)
        if unit == "bytes":
            return costs.weight_bytes(layout, model.dtypes, held)
        return costs.macs_per_token(layout, held)

    limit = max(1, int(cost(step) + (cost(40) - cost(step)) * share / 100))
    found = solve(layout, model, Budget(**{unit: limit}), multiple=step)
    fitting = [n for n in range(step, 41, step) if cost(n) <= limit]
    assert found == {"neurons.0": max(fitting), "neurons.1": max(fitting)}


def test_a_limit_below_reach_says_what_can_be_reached():
    model, layout = llama(neurons=40)
    least = costs.parameters(layout, {"neurons.0": 1, "neurons.1": 1})
    with pytest.raises(BudgetError, match=f"allow at least {least:,}"):
        solve(layout, model, Budget(parameters=least - 1), multiple=1)


def test_a_limit_above_the_model_keeps_it_whole():
    model, layout = llama(neurons=41)
    assert solve(layout, model, Budget(parameters=10**9)) == {"neurons.0": 41, "neurons.1": 41}


def test_seconds_are_refused():
    model, layout = llama()
    with pytest.raises(BudgetError, match="a budget in seconds needs measuring"):
        solve(layout, model, Budget(seconds=1.0))


def test_a_multiple_below_one_is_refused():
    model, layout = llama()
    with pytest.raises(BudgetError, match="multiples of 0"):
        solve(layout, model, Budget(keep=0.5), multiple=0)
