"""Magnitude against a loop over every weight of a unit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import Tensors, layout_of, llama

from penjing.core import Axis, Budget, Stats, View
from penjing.errors import LayoutError
from penjing.methods import METHODS
from penjing.methods.prune.magnitude import score
from penjing.select.units import all_rows

Method = METHODS.type_of("magnitude")


def naive(parts):
    """The square root of the sum of squares of all weights of unit i, wherever they are."""
    return torch.tensor([sum(x * x for part in parts for x in part[i].tolist()) ** 0.5 for i in range(len(parts[0]))])


@given(units=st.integers(1, 6), fans=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_equals_the_loop(units, fans, seed):
    g = torch.Generator().manual_seed(seed)
    parts = [torch.randn(units, fan, generator=g) for fan in fans]
    torch.testing.assert_close(score(parts), naive(parts))


def test_a_head_is_all_its_queries_keys_values_and_outputs():
    model, layout = llama()
    at = "model.layers.1.self_attn."
    parts = [model[f"{at}{x}_proj.weight"].reshape(2, -1) for x in "qkv"]
    parts.append(model[f"{at}o_proj.weight"].T.reshape(2, -1))
    torch.testing.assert_close(score(all_rows(model, layout, "heads.1")), naive(parts))


def test_queries_are_gathered_over_all_heads():
    model, layout = llama()
    at = "model.layers.0.self_attn."
    q = model[f"{at}q_proj.weight"].reshape(2, 2, 4, 16).transpose(0, 1).reshape(2, -1)
    o = model[f"{at}o_proj.weight"].T.reshape(2, 2, 4, 16).transpose(0, 1).reshape(2, -1)
    torch.testing.assert_close(score(all_rows(model, layout, "queries.0")), naive([q, o]))


def test_channels_of_a_convolution_count_their_norm_gains():
    values = {"a": torch.randn(5, 3, 3, 3), "bn": torch.randn(5), "b": torch.randn(7, 5, 1, 1)}
    model = Tensors(values, {})
    axes = [Axis(name="channels.0", size=5, state="free"), Axis(name="channels.1", size=7, state="free")]
    patterns = {"a": "channels.0 3 3 3", "bn": "channels.0", "b": "channels.1 channels.0 1 1"}
    layout = layout_of(model, patterns, axes, {"a": (1,), "b": (1,)})
    parts = [values["a"].flatten(1), values["bn"][:, None], values["b"].transpose(0, 1).flatten(1)]
    torch.testing.assert_close(score(all_rows(model, layout, "channels.0")), naive(parts))
    plan = Method(axes="channels.0").plan(View(model, layout, Stats(), Budget(keep=0.6)))
    assert plan.keeps()["channels.0"] == tuple(sorted(naive(parts).argsort(descending=True)[:3].tolist()))


def test_the_residual_is_cut_only_when_allowed():
    model, layout = llama()
    with pytest.raises(LayoutError, match="only axes that are sensitive"):
        Method(axes="residual").plan(View(model, layout, Stats(), Budget(keep=0.5)))
    plan = Method(axes="residual", allow=("sensitive",)).plan(View(model, layout, Stats(), Budget(keep=0.5)))
    assert len(plan.keeps()["residual"]) == 8
