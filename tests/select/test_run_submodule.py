"""Stock models are run part by part to see which units are constant."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

import penjing

SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def opt():
    config = OPTConfig(**SIZES, ffn_dim=24, word_embed_proj_dim=16, max_position_embeddings=32)
    return OPTForCausalLM(config).eval(), lambda m, i: m.model.decoder.layers[i]


def llama():
    config = LlamaConfig(**SIZES, intermediate_size=24, num_key_value_heads=2, max_position_embeddings=32)
    return LlamaForCausalLM(config).eval(), lambda m, i: m.model.layers[i].mlp


def logits(module):
    with torch.no_grad():
        return module(torch.arange(32).view(2, 16)).logits


@pytest.mark.parametrize("family", ["llama", pytest.param("opt", marks=pytest.mark.nightly)])
def test_a_pruned_folder_gets_the_smallest_common_width_and_the_same_outputs(family, tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, part = llama() if family == "llama" else opt()
    with torch.no_grad():
        for i, dead in enumerate((9, 6)):
            mlp = part(model, i)
            (mlp.gate_proj if family == "llama" else mlp.fc1).weight[:dead] = 0
            if family == "opt":
                mlp.fc1.bias[:dead] = torch.linspace(-1, 1, dead)
    model.save_pretrained(tmp_path / "big")
    done = penjing.shrink(tmp_path / "big", tmp_path / "small", method="zeros", measure=False)
    neurons = {a: len(u) for a, u in done.plan.keeps().items()}
    assert set(neurons.values()) == {18}
    assert done.plan.made["taken away"] == {"dead": 12, "of these constant": 12}
    small = type(model).from_pretrained(tmp_path / "small").eval()
    torch.testing.assert_close(logits(small), logits(model), rtol=1e-6, atol=1e-6)
