"""How many blocks stay, and what is left to count, against loops over tensors' names."""

from dataclasses import replace
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Axis, Blocks, Budget
from penjing.errors import BudgetError, LayoutError
from penjing.layouts import costs
from penjing.select.blocks import best_blocks, members, named, paths, without


def deep(count, path="model.layers"):
    """(model, layout with a list of blocks, the list)."""
    model, layout = llama(blocks=count)
    blocks = Blocks(axis="blocks", path=path, size=count)
    axes = {**layout.axes, "blocks": Axis(name="blocks", size=count, state="sensitive", reason="whole blocks")}
    return model, replace(layout, blocks=(blocks,), axes=axes), blocks


def weights(model, kept):
    """The number of weights outside blocks and in the blocks that stay, name by name."""
    total = 0
    for name, shape in model.shapes.items():
        words = name.split(".")
        if words[1] != "layers" or int(words[2]) in kept:
            total += prod(shape)
    return total


@settings(max_examples=20, deadline=None)
@given(data=st.data(), count=st.integers(1, 5))
def test_what_is_left_costs_what_the_blocks_that_stay_cost(data, count):
    kept = data.draw(st.sets(st.integers(0, count - 1)))
    model, layout, blocks = deep(count)
    left = without(layout, blocks, sorted(kept))
    assert costs.parameters(left) == weights(model, kept)
    assert {w.tensor for w in left.work} == {w.tensor for w in layout.work if w.tensor in left.patterns}


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 5), share=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_a_limit_is_met_by_the_most_and_best_blocks_that_fit(count, share, seed):
    model, layout, blocks = deep(count)
    scores = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    one, whole = weights(model, {0}), weights(model, set(range(count)))
    limit = int(one + share * (whole - one))
    found = best_blocks(layout, blocks, scores, Budget(parameters=limit), model=model)
    expected = max(n for n in range(1, count + 1) if weights(model, set(range(n))) <= limit)
    ranked = sorted(range(count), key=lambda k: -float(scores[k]))
    assert found == tuple(sorted(ranked[:expected]))


@pytest.mark.parametrize(("keep", "stay"), [(0.01, 1), (0.5, 2), (0.6, 2), (0.63, 3), (1.0, 4)])
def test_of_keep_the_nearest_number_is_taken_and_one_stays(keep, stay):
    model, layout, blocks = deep(4)
    found = best_blocks(layout, blocks, torch.tensor([4.0, 1.0, 3.0, 2.0]), Budget(keep=keep), model=model)
    assert found == tuple(sorted([0, 2, 3, 1][:stay]))


@pytest.mark.parametrize("unit", ["bytes", "macs"])
def test_other_limits_are_met_and_one_block_more_would_break_them(unit):
    model, layout, blocks = deep(4)

    def cost(kept):
        left = without(layout, blocks, kept)
        return costs.weight_bytes(left, model.dtypes) if unit == "bytes" else costs.macs_per_token(left)

    limit = int((cost([0, 1]) + cost([0, 1, 2])) / 2)
    assert best_blocks(layout, blocks, torch.arange(4.0), Budget(**{unit: limit}), model=model) == (2, 3)


def test_members_are_found_when_the_file_leaves_out_the_outer_module():
    _, layout, blocks = deep(3, path="wrapper.model.layers")
    found = members(layout, blocks)
    assert found == {t: int(t.split(".")[2]) for t in layout.patterns if ".layers." in t}
    assert len(found) == 3 * 8


def test_blocks_are_named_only_on_purpose():
    _, layout, blocks = deep(2)
    assert named(layout, "blocks") == named(layout, "neurons.*, blocks") == [blocks]
    assert named(layout, "*") == named(layout, "neurons.*") == named(layout, "blocks", protect=("blocks",)) == []
    assert named(layout, "neurons.0, blocks", protect="heads, blocks") == []
    assert paths(blocks) == ["model.layers.0", "model.layers.1"]


def test_what_cannot_be_met_is_refused():
    model, layout, blocks = deep(2)
    with pytest.raises(BudgetError, match="remain with one block of 'blocks'"):
        best_blocks(layout, blocks, torch.ones(2), Budget(parameters=100), model=model)
    with pytest.raises(BudgetError, match="a budget in seconds needs measuring"):
        best_blocks(layout, blocks, torch.ones(2), Budget(seconds=1.0), model=model)
    with pytest.raises(LayoutError, match=r"no tensor lies under 'encoder\.stack'"):
        members(layout, Blocks(axis="blocks", path="encoder.stack", size=2))
