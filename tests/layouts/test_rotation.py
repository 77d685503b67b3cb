"""Which axes may be rotated, and what is known of the norms that a rotation folds."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from penjing.core.pattern import names
from penjing.layouts import from_config, from_module


class Residual(nn.Module):
    """Two linear maps around a stream of 6; `between` is what happens to the stream on its way."""

    def __init__(self, between):
        super().__init__()
        self.put, self.take = nn.Linear(4, 6), nn.Linear(6, 3)
        self.gain = nn.Parameter(torch.randn(6))
        self.shift = nn.Parameter(torch.randn(1))
        self.between = between

    def forward(self, x):
        return self.take(self.between(self, self.put(x)))


def stream(between):
    layout = from_module(Residual(between), torch.randn(2, 5, 4))
    return layout.axes[names(layout.patterns["put.weight"])[0]]


TURNS = {
    "nothing": lambda m, x: x,
    "a sum with itself elsewhere": lambda m, x: x + x.roll(1, 1),
    "a scale": lambda m, x: 0.5 * x / 3,
    "a mean over places": lambda m, x: x.mean(1),
    "weights per place": lambda m, x: x * torch.softmax(torch.ones(2, 5, 1), 1),
    "a norm": lambda m, x: F.layer_norm(x, x.shape[-1:], m.gain),
    "a parameter of the stream": lambda m, x: x + m.gain,
}
STAYS = {
    "relu": (lambda m, x: F.relu(x), "relu"),
    "a gain": (lambda m, x: x * m.gain, "mul"),
    "itself": (lambda m, x: x * x, "mul"),
    "a number": (lambda m, x: x + 1.0, "add"),
    "the same for all": (lambda m, x: x + m.shift, "add"),
    "a softmax": (lambda m, x: torch.softmax(x, -1), "softmax"),
    "a gram matrix": (lambda m, x: (x @ x.transpose(1, 2)) @ x, "bmm"),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_stream_that_meets_only_linear_things_and_norms_may_be_rotated(name):
    axis = stream(TURNS[name])
    assert axis.rotates, axis.rigid


@pytest.mark.parametrize("name", STAYS)
def test_a_stream_that_meets_anything_else_is_rigid_and_says_why(name):
    between, reason = STAYS[name]
    axis = stream(between)
    assert not axis.rotates
    assert reason in axis.rigid


def config(kind, **more):
    small = {
        "hidden_size": 16, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 20,
    }  # fmt: skip
    return {"model_type": kind, **small, **more}


def test_a_tied_head_has_a_name_of_its_own_and_a_gain_may_be_one_more_than_stored():
    layout = from_config(config("gemma", architectures=["GemmaForCausalLM"]))
    last = layout.norms[-1]
    assert (last.alone, last.foldable, last.offset) == (True, False, 1.0)
    assert last.shared == {"model.embed_tokens.weight": "lm_head.weight"}
    assert all(n.foldable and not n.shared for n in layout.norms[:-1])


def test_norms_after_the_sum_are_not_alone():
    layout = from_config(config("bert", architectures=["BertForMaskedLM"]))
    inside = [n for n in layout.norms if n.module.startswith(("bert.embeddings", "bert.encoder.layer.0"))]
    assert len(inside) == 3
    assert not any(n.alone for n in inside)
