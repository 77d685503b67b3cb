"""Costs against closed forms, known models and torch's own counter."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from penjing.layouts import build, costs, from_config

ONE_B: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 2048,
    "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 64, "tie_word_embeddings": True, "max_position_embeddings": 131072,
}  # fmt: skip
VIT = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "num_labels": 1000}
RESNET = {
    "model_type": "resnet",
    "architectures": ["ResNetForImageClassification"],
    "num_labels": 1000,
    "image_size": 224,
}
GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}


def labelled(config: dict[str, Any]) -> dict[str, Any]:
    count = config.pop("num_labels", 0)
    return {**config, "id2label": {i: str(i) for i in range(count)}} if count else config


def test_llama_1b_to_the_digit():
    layout = from_config(ONE_B, cache=False)
    narrow = {a: 7373 for a in layout.axes if a.startswith("neurons")}
    assert costs.parameters(layout) == 1_235_814_400
    assert costs.parameters(layout, narrow) == 1_155_303_424
    per_layer = 2048 * 64 * (2 * 32 + 2 * 8) + 3 * 2048 * 8192
    context = 512
    wanted = 16 * (per_layer + 2 * context * 32 * 64) + 128256 * 2048
    assert costs.macs_per_token(layout, context=context) == pytest.approx(wanted, rel=1e-3)
    assert costs.kv_cache_bytes_per_token(ONE_B, 2) == 2 * 16 * 8 * 64 * 2
    assert sum(s.share for s in costs.shares(layout)) == pytest.approx(1)
    assert {s.part for s in costs.shares(layout)} == {"embedding", "attention", "mlp", "norm"}


@pytest.mark.parametrize(
    ("config", "parameters", "low", "high"),
    [(VIT, 86.57e6, 17.5e9, 17.65e9), (RESNET, 25.557e6, 4.08e9, 4.12e9)],
    ids=["vit", "resnet"],
)
def test_known_vision_models(config, parameters, low, high):
    layout = from_config(labelled(dict(config)), cache=False)
    assert costs.parameters(layout) == pytest.approx(parameters, rel=1e-4)
    assert low <= costs.macs(layout) <= high


def test_gpt2_counts_its_tied_head_once():
    layout = from_config(GPT2, cache=False)
    assert costs.parameters(layout) == pytest.approx(124.44e6, rel=1e-4)


def test_macs_are_half_of_what_torch_counts():
    config = {**ONE_B, "vocab_size": 61, "hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 3,
              "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4}  # fmt: skip
    module = build(config, device="cpu")  # its mask code looks at values, which meta has not
    module.set_attn_implementation("eager")
    ids = torch.zeros(1, 32, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(input_ids=ids, use_cache=False)
    rotary = 3 * 0 + 2 * 32  # the outer product of frequencies and positions, no weight takes part
    found = costs.macs(from_config(config, cache=False), tokens=32)
    assert found == pytest.approx(counter.get_total_flops() / 2, abs=rotary)


def test_bytes_follow_the_stored_dtypes():
    layout = from_config({**ONE_B, "num_hidden_layers": 1}, cache=False)
    dtypes = dict.fromkeys(layout.patterns, torch.bfloat16)
    assert costs.weight_bytes(layout, dtypes) == 2 * costs.parameters(layout)
