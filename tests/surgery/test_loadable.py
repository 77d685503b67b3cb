"""The table of refusals is what the installed transformers does."""

import pytest
import transformers

from penjing.core import Axis, Layout
from penjing.errors import CheckpointError
from penjing.layouts import build
from penjing.surgery.loadable import ANY_HEADS, heads_step, refusal

LIKE_LLAMA = {"vocab_size": 32, "hidden_size": 24, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 4}


def shape(kind: str, heads: int) -> dict:
    if kind == "gpt2":
        return {"model_type": kind, "vocab_size": 32, "n_embd": 24, "n_head": heads, "n_layer": 1}
    if kind == "opt":
        return {"model_type": kind, "vocab_size": 32, "hidden_size": 24, "ffn_dim": 8, "num_hidden_layers": 1,
                "num_attention_heads": heads, "word_embed_proj_dim": 24}  # fmt: skip
    return {"model_type": kind, **LIKE_LLAMA, "num_attention_heads": heads, "num_key_value_heads": 1, "pad_token_id": 0}


@pytest.mark.parametrize("kind", ["llama", "gemma2", "opt", "gpt2", "gpt_neox"])
def test_stock_code_refuses_what_the_table_refuses(kind):
    build(shape(kind, 6))
    assert not refusal(shape(kind, 6))
    assert "nearest that opens: 4 or 6" in refusal(shape(kind, 5))
    with pytest.raises(CheckpointError):
        build(shape(kind, 5))


@pytest.mark.parametrize("kind", ANY_HEADS)
def test_stock_code_accepts_what_the_table_accepts(kind):
    assert kind in transformers.CONFIG_MAPPING
    assert not refusal(shape(kind, 5))
    build(shape(kind, 5))


@pytest.mark.parametrize(
    ("sizes", "step"), [({"heads.0": 3}, 3), ({"queries.0": 2}, 4), ({"heads.0": 3, "queries.0": 2}, 1), ({}, 1)]
)
def test_only_counts_that_can_be_made_are_named(sizes, step):
    axes = {n: Axis(name=n, size=s, state="free") for n, s in {"heads.0": 4, "queries.0": 3, "neurons.0": 8}.items()}
    assert heads_step(Layout(patterns={}, axes=axes), {**{n: a.size for n, a in axes.items()}, **sizes}) == step
    assert "6 or 12" in refusal({"model_type": "llama", "num_attention_heads": 9, "hidden_size": 96}, step=3)
