"""The table of refusals is what the installed transformers does."""

import json

import pytest
import torch
import transformers
from tests.surgery import tables

from penjing.core import Axis, Layout
from penjing.errors import CheckpointError, PlanError
from penjing.layouts import build
from penjing.surgery import masked, stream, verify
from penjing.surgery.loadable import ANY_HEADS, heads_step, refusal

LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
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


TWIN = {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": None}


@pytest.mark.parametrize(
    "more", [{}, {"num_key_value_heads": 6, "rope_parameters": LINEAR, "tie_word_embeddings": True}]
)
def test_the_type_that_a_refusal_names_computes_the_same_and_holds_the_plan(more, tmp_path):
    module = tables.llama(tmp_path / "model", **more)
    checkpoint, layout = tables.opened(tmp_path / "model")
    plan = tables.every(layout, "heads", [0, 1] if "num_key_value_heads" not in more else [0, 2, 3, 4, 5])
    asked = layout.axes["heads.0"].size == 6
    if asked:
        with pytest.raises(PlanError, match=r"with model_type 'mistral', architectures .*any count opens"):
            verify(checkpoint, layout, plan)
    config = json.loads((tmp_path / "model/config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps({**config, **TWIN}))
    twin = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = tables.tokens()
    with torch.no_grad():
        assert torch.equal(twin(ids).logits, module(ids).logits)
    checkpoint, other = tables.opened(tmp_path / "model")
    opened = transformers.AutoModelForCausalLM.from_pretrained(stream(checkpoint, other, plan, tmp_path / "out"))
    assert opened.config.num_attention_heads == (5 if asked else 4)
    with torch.no_grad():
        torch.testing.assert_close(opened(ids).logits, masked(module, layout, plan)(ids).logits)
    more = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(opened.generate(ids, **more), masked(module, layout, plan).generate(ids, **more))


@pytest.mark.parametrize("bias", ["attention_bias", "mlp_bias"])
def test_a_model_with_biases_hears_of_no_other_type(bias):
    assert "mistral" in refusal(shape("llama", 5))
    assert "mistral" not in refusal({**shape("llama", 5), bias: True})
