"""Tiny models of each architecture that llama.cpp runs, with widths in whole blocks of 32."""

from pathlib import Path
from typing import Any

from tests.surgery import tables
from torch import nn

SIZES: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 160, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
WINDOWED = {**SIZES, "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 8}
GPT2 = {"vocab_size": 96, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 160, "n_inner": 96}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", SIZES),
    "llama_tied": ("LlamaForCausalLM", {**SIZES, "tie_word_embeddings": True}),
    "llama_biases": ("LlamaForCausalLM", {**SIZES, "attention_bias": True, "mlp_bias": True, "head_dim": 32}),
    "llama_stretched": ("LlamaForCausalLM", {**SIZES, "rope_parameters": LLAMA3}),
    "llama_linear": (
        "LlamaForCausalLM",
        {**SIZES, "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
    ),
    "mistral": ("MistralForCausalLM", {**SIZES, "sliding_window": 128}),
    "qwen2": ("Qwen2ForCausalLM", SIZES),
    "qwen3": ("Qwen3ForCausalLM", {**SIZES, "head_dim": 32}),
    "gemma": ("GemmaForCausalLM", {**SIZES, "head_dim": 32}),
    "gemma2": ("Gemma2ForCausalLM", WINDOWED),
    "gemma3": ("Gemma3ForCausalLM", {**WINDOWED, "num_hidden_layers": 6}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
}


def make(family: str, folder: Path, **settings: Any) -> nn.Module:
    name, sizes = FAMILIES[family]
    return tables.make(name, folder, **{**sizes, **settings})
