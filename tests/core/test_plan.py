"""Plans add up, budgets hold one limit, layouts find axes."""

import pytest

from penjing.core import Axis, Budget, Keep, Layout, Plan
from penjing.core.pattern import parse
from penjing.errors import BudgetError, LayoutError


def test_a_second_keep_counts_in_what_the_first_left():
    plan = Plan((Keep("a", (1, 3, 5)),)) + Plan((Keep("a", (0, 2)), Keep("b", (4,))))
    assert plan.keeps() == {"a": (1, 5), "b": (4,)}


@pytest.mark.parametrize(
    "given",
    [
        {}, {"keep": 0.5, "macs": 3}, {"keep": 0.0}, {"keep": 1.5}, {"bytes": 0}, {"loss": float("inf")},
        {"loss": float("nan")},
    ],
)  # fmt: skip
def test_a_budget_is_one_limit_in_range(given):
    with pytest.raises(BudgetError):
        Budget(**given)


LAYOUT = Layout(
    patterns={},
    axes={
        a.name: a
        for a in (
            Axis(name="neurons.0", size=4, state="free"),
            Axis(name="neurons.1", size=4, state="free"),
            Axis(name="residual", size=8, state="sensitive", reason="mean in norm"),
        )
    },
)


@pytest.mark.parametrize(
    ("glob", "found"), [("neurons", 2), ("neurons.*", 2), ("neurons.1", 1), ("neurons.0,neurons.1", 2)]
)
def test_globs_find_axes(glob, found):
    assert len(LAYOUT.match(glob)) == found


def test_what_may_not_be_cut_is_named_with_its_reason():
    with pytest.raises(LayoutError, match="mean in norm"):
        LAYOUT.match("residual")
    with pytest.raises(LayoutError, match="kinds neurons, residual"):
        LAYOUT.match("neuron.1")


def test_an_axis_knows_its_tensors_and_who_sums_over_it():
    layout = Layout(
        patterns={
            "up": parse("neurons.0 residual"),
            "stack": parse("(neurons.0 + neurons.1) (neurons.0 2)"),
            "bias": parse("residual"),
        },
        axes=LAYOUT.axes,
        reads={"up": (1,), "stack": (1,), "elsewhere": (0,)},
    )
    assert layout.tensors("neurons.0") == ["up", "stack"]
    assert layout.tensors("residual") == ["up", "bias"]
    assert layout.readers("neurons.0") == [("stack", 1)]
    assert layout.readers("residual") == [("up", 1)]
    assert layout.tensors("none") == layout.readers("none") == []
    layout.tensors("residual").append("mine")
    assert layout.tensors("residual") == ["up", "bias"]
