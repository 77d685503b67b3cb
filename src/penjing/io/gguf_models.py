"""What GGUF calls the parts of a model, and what transformers calls them; tables, and the config that follows."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.errors import CheckpointError
from penjing.io.gguf_header import GgufHeader

TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
IN_BLOCK = re.compile(r"blk\.(\d{1,6})\.(\w+)\.(weight|bias)")

ENTRIES = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "context_length": "max_position_embeddings",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
TOKENS = {"bos": "bos_token_id", "eos": "eos_token_id", "padding": "pad_token_id"}


@dataclass(frozen=True)
class Family:
    """How models of one GGUF architecture are opened; `paired`: rows of q and k are stored for paired rotation."""

    model_type: str
    architecture: str
    paired: bool = False


FAMILIES = {
    "llama": Family("llama", "LlamaForCausalLM", paired=True),
    "qwen2": Family("qwen2", "Qwen2ForCausalLM"),
    "qwen3": Family("qwen3", "Qwen3ForCausalLM"),
}


def family_of(header: GgufHeader) -> Family:
    """The family of the file's architecture.

    Raises:
        CheckpointError: it is none that can be opened.
    """
    name = header.metadata.get("general.architecture")
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        found = f"{header.path} is of architecture {name!r}"
        raise CheckpointError(f"{found}; {known} can be opened; give its folder instead")
    return FAMILIES[name]


def name_of(name: str, path: Path) -> str:
    """The name that transformers has for a tensor.

    Raises:
        CheckpointError: the families that can be opened have no such part.
    """
    match = IN_BLOCK.fullmatch(name)
    if name in TOP:
        return TOP[name]
    if match is None or match[2] not in PARTS:
        raise CheckpointError(f"{path} holds '{name[:80]}', which has no place in this family; give its folder instead")
    return f"model.layers.{int(match[1])}.{PARTS[match[2]]}.{match[3]}"


def config_of(header: GgufHeader) -> dict[str, Any]:
    """The config that transformers would have for the model in the file.

    Raises:
        CheckpointError: an entry is missing, or the model uses what the file does not describe well enough.
    """
    family = family_of(header)
    meta = header.metadata
    prefix = meta["general.architecture"] + "."
    _refuse_unknown(header, prefix)
    config: dict[str, Any] = {"architectures": [family.architecture], "model_type": family.model_type}
    for key, entry in ENTRIES.items():
        config[entry] = _positive(meta.get(prefix + key), prefix + key, header.path)
    heads = config["num_attention_heads"]
    config["num_key_value_heads"] = _positive(
        meta.get(prefix + "attention.head_count_kv", heads), prefix + "attention.head_count_kv", header.path
    )
    width = meta.get(prefix + "attention.key_length", meta.get(prefix + "rope.dimension_count"))
    if width is None:
        width = config["hidden_size"] // heads
    if config["model_type"] != "qwen2":  # Its stock class has no such entry.
        config["head_dim"] = _positive(width, prefix + "attention.key_length", header.path)
    theta = _positive(meta.get(prefix + "rope.freq_base", 10000.0), prefix + "rope.freq_base", header.path)
    config["rope_parameters"] = {"rope_theta": theta, "rope_type": "default"}
    config["hidden_act"] = "silu"
    names = {t.name: t for t in header.tensors}
    if "token_embd.weight" not in names or len(names["token_embd.weight"].shape) != 2:
        raise CheckpointError(f"{header.path} holds no 'token_embd.weight'; it is not a whole model; get it again")
    config["vocab_size"] = names["token_embd.weight"].shape[0]
    config["tie_word_embeddings"] = "output.weight" not in names
    if family.model_type == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in names
        config["mlp_bias"] = "blk.0.ffn_up.bias" in names
    for key, entry in TOKENS.items():
        value = meta.get(f"tokenizer.ggml.{key}_token_id")
        if type(value) is int:
            config[entry] = value
    return config


def _refuse_unknown(header: GgufHeader, prefix: str) -> None:
    meta = header.metadata
    advice = "give config= with the original config.json, or open the original folder"
    if meta.get(prefix + "expert_count"):
        raise CheckpointError(f"{header.path} has {meta[prefix + 'expert_count']} experts per block; {advice}")
    table = any(t.name == "rope_freqs.weight" for t in header.tensors)
    if table or meta.get(prefix + "rope.scaling.type", "none") != "none":
        raise CheckpointError(f"{header.path} scales its rotary positions, which GGUF tells only in part; {advice}")


def _positive(value: object, key: str, path: Path) -> Any:
    if type(value) is int and value > 0:
        return value
    if type(value) is float and 0 < value < float("inf"):
        # Stored as float32: the shortest text that reads back the same is what the author wrote.
        return float(str(np.float32(value)))
    raise CheckpointError(f"{path} has '{key}' of {str(value)[:80]!r}; a number above 0 was needed; get the file again")
