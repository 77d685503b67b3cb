"""Shapes of a size: counted by rule, far apart, refused where they cannot be."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.house.tiny import tiny_model

from penjing.core import Budget, Keep
from penjing.errors import BudgetError, LayoutError, PlanError
from penjing.layouts import costs
from penjing.methods.prune.minitron import Method
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.source import resolve
from penjing.select.blocks import without
from penjing.select.shape import check_shape, read_shape, shapes_within


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    place = tmp_path_factory.mktemp("shape")
    tiny_model(place / "model")
    return resolve(place / "model")


def naive(layout, limit, tolerance, least):
    """Every combination of the sizes, each counted anew, blocks taken away first."""
    found = set()
    neurons = layout.axes["neurons.0"].size
    for n, h, b in product([*range(16, neurons, 16), neurons], (1, 2), (1, 2)):
        if n < least * neurons or h < least * 2 or b < least * 2:
            continue
        left = without(layout, layout.blocks[0], range(b))
        sizes = {f"neurons.{i}": n for i in range(2)} | {f"heads.{i}": h for i in range(2)}
        count = costs.parameters(left, sizes)
        if abs(count - limit) <= tolerance * limit:
            found.add((n, h, b, count))
    return found


def flat(shapes):
    return {(s.sizes["neurons"], s.sizes["heads"], s.sizes["blocks"], s.parameters) for s in shapes}


KINDS = ("neurons", "heads", "blocks")


@settings(max_examples=25, deadline=None)
@given(
    limit=st.integers(14_000, 39_000), tolerance=st.sampled_from([0.02, 0.1, 0.3]), least=st.sampled_from([0.2, 0.5])
)
def test_all_shapes_of_a_size_are_found(source, limit, tolerance, least):
    expected = naive(source.layout, limit, tolerance, least)
    try:
        found = shapes_within(source.layout, limit, KINDS, tolerance=tolerance, most=1000, least=least)
    except BudgetError:
        assert not expected
        return
    assert flat(found) == expected


def test_the_first_is_the_most_even_and_the_next_is_the_farthest(source):
    every = shapes_within(source.layout, 25_000, KINDS, tolerance=0.3, most=1000)
    two = shapes_within(source.layout, 25_000, KINDS, tolerance=0.3, most=2)

    def shares(s):
        return (s.sizes["neurons"] / 128, s.sizes["heads"] / 2, s.sizes["blocks"] / 2)

    assert max(shares(two[0])) - min(shares(two[0])) == min(max(shares(s)) - min(shares(s)) for s in every)
    far = [sum(abs(a - b) for a, b in zip(shares(s), shares(two[0]), strict=True)) for s in every]
    assert sum(abs(a - b) for a, b in zip(shares(two[1]), shares(two[0]), strict=True)) == max(far)


def test_a_size_that_no_shape_has_is_refused_with_what_there_is(source):
    with pytest.raises(BudgetError, match=r"no shape of neurons has 1,000 parameters within 5%.*the nearest"):
        shapes_within(source.layout, 1000, ("neurons",))


def test_the_text_of_a_shape(source):
    assert read_shape(str(shapes_within(source.layout, 39_136, KINDS, most=1)[0])) == {
        "neurons": 128, "heads": 2, "blocks": 2,
    }  # fmt: skip
    for wrong in ("neurons", "neurons:x", "neurons:4,neurons:5", ":4"):
        with pytest.raises(PlanError, match="needed kinds with their units"):
            read_shape(wrong)


def test_what_the_model_does_not_have_is_refused(source):
    with pytest.raises(LayoutError, match="no axes of kind 'experts'"):
        check_shape(source.layout, {"experts": 2})
    with pytest.raises(PlanError, match="129 neurons; needed 1 to 128"):
        check_shape(source.layout, {"neurons": 129})


def test_minitron_cuts_to_a_shape_whatever_the_budget_says(source, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the tide comes in and the tide goes out again; " * 20, encoding="utf-8")
    order = Order(
        method="minitron", budget=Budget(keep=0.9), settings={"shape": "neurons:48,blocks:1"}, texts=(text,), rows=4,
        length=32, seed=0,
    )  # fmt: skip
    plan = make_plan(source, order, cache=tmp_path / "cache")
    kept = {e.axis: len(e.units) for e in plan.edits if isinstance(e, Keep)}
    assert kept == {"neurons.0": 48, "neurons.1": 48, "blocks": 1}
    neurons, blocks = (Method(axes=a).wants(source.layout).statistics for a in ("neurons.*", "blocks"))
    assert Method(shape="neurons:48,blocks:1").wants(source.layout).statistics == {**neurons, **blocks}
