"""Activation importance against loops written from the paper."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Axis, Blocks, Budget, Norm, Stats, View
from penjing.errors import BudgetError
from penjing.methods.prune.minitron import Method, block_score, channel_score, score


def naive(taken):
    """The L2 norm over all channels of a unit, reader by reader."""
    out = []
    for unit in range(len(taken[0])):
        out.append(sum(v**2 for x in taken for v in x[unit].tolist()) ** 0.5)
    return torch.tensor(out, dtype=torch.float64)


def naive_channels(given_):
    return torch.tensor([sum(x[i, 0].item() for x in given_) for i in range(len(given_[0]))], dtype=torch.float64)


@given(units=st.integers(1, 6), channels=st.integers(1, 5), readers=st.integers(1, 3), seed=st.integers(0, 99))
def test_units_equal_the_loop(units, channels, readers, seed):
    g = torch.Generator().manual_seed(seed)
    taken = [torch.rand(units, channels, generator=g) for _ in range(readers)]
    torch.testing.assert_close(score(taken), naive(taken))
    single = [x[:, :1] for x in taken]
    torch.testing.assert_close(channel_score(single), naive_channels(single))


def test_a_block_that_leaves_its_input_alone_scores_zero():
    scores = block_score([torch.tensor(1.0), torch.tensor(0.25), torch.tensor(-1.0)])
    assert scores.tolist() == [0.0, 0.75, 2.0]


def magnitudes(model, wanted, seed=0):
    g = torch.Generator().manual_seed(seed)
    values = {}
    for name, statistics in sorted(wanted.items()):
        for s in statistics:
            width = () if s == "block_cosine" else model.shapes[name][-1:]
            values[name, s] = torch.rand(width, generator=g)
    return Stats(values, samples=9)


def test_neurons_are_ranked_by_what_the_down_projection_takes_in():
    model, layout = llama()
    wanted = Method().wants(layout).statistics
    assert wanted == {f"model.layers.{i}.mlp.down_proj.weight": {"input_magnitude"} for i in range(2)}
    stats = magnitudes(model, wanted)
    plan = Method(multiple=1).plan(View(model, layout, stats, Budget(keep=0.5)))
    for i in range(2):
        taken = stats[f"model.layers.{i}.mlp.down_proj.weight", "input_magnitude"]
        assert plan.keeps()[f"neurons.{i}"] == tuple(sorted(taken.argsort(descending=True)[:12].tolist()))


def test_a_key_value_group_counts_the_channels_of_all_its_queries():
    model, layout = llama()
    method = Method(axes="heads.*")
    stats = magnitudes(model, method.wants(layout).statistics)
    for i in range(2):
        taken = stats[f"model.layers.{i}.self_attn.o_proj.weight", "input_magnitude"]
        taken.fill_(1.0)
        taken[8 * (1 - i) + 3] = 3.0  # 2 queries of 4 channels are one group
    plan = method.plan(View(model, layout, stats, Budget(keep=0.5)))
    assert plan.keeps() == {"heads.0": (1,), "heads.1": (0,)}


def hidden(layout):
    """The layout with its norms, and the blocks as a list that may be dropped from."""
    norms = tuple(
        Norm(module=f"model.layers.{i}.input_layernorm", kind="rms", axis="residual",
             weight=f"model.layers.{i}.input_layernorm.weight", readers=(f"model.layers.{i}.self_attn.q_proj.weight",))
        for i in range(2)
    )  # fmt: skip
    last = Norm(
        module="model.norm",
        kind="rms",
        axis="residual",
        weight="model.norm.weight",
        readers=("model.embed_tokens.weight",),
    )
    blocks = (Blocks(axis="blocks", path="model.layers", size=2),)
    axes = {**layout.axes, "blocks": Axis(name="blocks", size=2, state="sensitive", reason="no mask equals it")}
    return replace(layout, axes=axes, norms=(*norms, last), blocks=blocks)


def test_hidden_channels_add_up_over_the_norms_that_feed_blocks():
    model, layout = llama()
    layout = hidden(layout)
    method = Method(axes="residual", allow=("sensitive",), multiple=1)
    wanted = method.wants(layout).statistics
    assert wanted == {f"model.layers.{i}.input_layernorm.weight": {"output_magnitude"} for i in range(2)}
    stats = magnitudes(model, wanted)
    total = sum(stats[name, "output_magnitude"] for name in wanted)
    plan = method.plan(View(model, layout, stats, Budget(keep=0.5)))
    assert plan.keeps()["residual"] == tuple(sorted(total.argsort(descending=True)[:8].tolist()))


def test_the_block_most_like_its_input_goes():
    model, layout = llama()
    layout = hidden(layout)
    method = Method(axes="blocks")
    assert method.wants(layout).statistics == {f"model.layers.{i}": {"block_cosine"} for i in range(2)}
    stats = Stats(
        {("model.layers.0", "block_cosine"): torch.tensor(0.2), ("model.layers.1", "block_cosine"): torch.tensor(0.9)}
    )
    assert method.plan(View(model, layout, stats, Budget(keep=0.5))).keeps() == {"blocks": (0,)}


def test_blocks_and_widths_together_need_a_fraction():
    model, layout = llama()
    layout = hidden(layout)
    method = Method(axes="blocks,neurons.*")
    stats = magnitudes(model, method.wants(layout).statistics)
    keeps = method.plan(View(model, layout, stats, Budget(keep=0.5))).keeps()
    assert set(keeps) == {"blocks", "neurons.0", "neurons.1"}
    with pytest.raises(BudgetError, match="blocks and widths together were given a limit in parameters"):
        method.plan(View(model, layout, stats, Budget(parameters=3000)))
