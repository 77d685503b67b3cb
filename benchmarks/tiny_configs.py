"""A tiny config of every family of the installed transformers, made from its own defaults by the names of entries.

Widths become 32, depths 2, heads 4 and so on, whatever the family; what the names do not tell stays as it is. A family
whose class then refuses its config, or is still large, has no tiny config here: it is counted as such, not as passed.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto as auto

HEADS = (
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_FOR_CTC_MAPPING_NAMES", "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES", "MODEL_MAPPING_NAMES",
)  # fmt: skip
"""Which class of a family is taken: the first that it has."""

LARGEST = 4_000_000
"""Parameters; a larger model is not tiny."""

RULES: tuple[tuple[str, int], ...] = (
    (r"(num_)?(key_value|kv)_heads|num_kv_heads|multi_query_group_num|num_key_value_groups", 2),
    (r"moe_k|num_experts_per_tok(en)?|top_k|moe_topk|num_selected_experts|router_top_k|moe_router_topk|"
     r"num_experts_per_token", 2),
    (r"n_group|topk_group", 1),
    (r"num_(local_)?experts|n_routed_experts|moe_num_experts|num_routed_experts|n_shared_experts_", 4),
    (r"n_shared_experts|num_shared_experts|moe_num_shared_experts", 1),
    (r"\w*(vocab_size|vocab_size_per_layer_input|num_tokens|src_vocab|tgt_vocab)", 99),
    (r"\w*(num_hidden_layers|hidden_layers|n_layers?|num_layers|encoder_layers|decoder_layers|num_blocks|depth)", 2),
    (r"\w*(head_dim|d_kv|kv_channels|head_size|attention_head_size|dim_head|qk_nope_head_dim|qk_rope_head_dim|"
     r"mamba_d_head|d_head|rotary_dim|time_step_rank_)", 8),
    (r"\w*(attention_heads|num_heads|n_heads?|attn_heads|nhead)", 4),
    (r"\w*(intermediate_size|ffn_dim|d_ff|d_inner|mlp_dim|dim_feedforward|n_inner|ffn_hidden_size|feedforward_dim|"
     r"intermediate_dim|feed_forward_size|ffn_size|feedforward_size)", 48),
    (r"kv_lora_rank|q_lora_rank|lora_rank|\w*_lora_(rank|dim)|laurel_rank", 16),
    (r"\w*(hidden_size|d_model|n_embd|embed_dim|embedding_size|hidden_dim|embedding_dim|word_embed_proj_dim|lru_width|"
     r"projection_dim|emb_dim|proj_dim|hidden_channels|bottleneck_size|embedding_hidden_size|decoder_embed_dim|"
     r"d_embed|output_dim_|model_dim)|dim", 32),
    (r"mamba_d_state|state_size|ssm_state_size|d_state", 8),
    (r"(mamba_)?(n_groups|num_groups)", 1),
    (r"mamba_n_heads|mamba_num_heads", 8),
    (r"mamba_chunk_size|chunk_size", 8),
    (r"\w*(max_position_embeddings|n_positions|n_ctx|max_source_positions|max_target_positions|max_seq_len|"
     r"max_seq_length|max_length_|seq_length|max_sequence_length)", 64),
    (r"(\w*_)?image_size|input_size", 32),
    (r"(\w*_)?patch_size", 4),
    (r"\w*(sliding_window|attention_window_size|window_size|local_attention)", 8),
    (r"num_codebooks|num_quantizers", 2),
    (r"num_mel_bins|num_mels|n_mels|feature_size", 16),
    (r"num_conv_pos_embeddings", 8),
    (r"num_conv_pos_embedding_groups", 4),
    (r"num_frames", 4),
    (r"num_queries|num_query_tokens|num_latents|num_labels", 6),
    (r"d_latents|qk_channels|v_channels", 32),
)  # fmt: skip

WIDTHS = re.compile(r"\w*(hidden_sizes|embed_dims?|dims|encoder_hidden_sizes|channels|hidden_dim|widths|out_channels)$")
DEPTHS = re.compile(r"\w*(depths|num_layers|layers|num_blocks|num_encoder_blocks_|depth|num_block_repeats)$")
COUNTS = re.compile(r"\w*(num_heads|num_attention_heads|nhead)$")
IMAGES = re.compile(r"(\w*_)?(image_size|patch_size|window_size)|input_size")
MARKS = re.compile(r"\w*(token_id|token_index|_idx|_token_ids?)$")


def head_of(family: str) -> str:
    """The name of the class that is taken of a family; empty if it has none."""
    for mapping in HEADS:
        found = getattr(auto, mapping, {}).get(family)
        if found:
            name = found if isinstance(found, str) else found[0]
            if hasattr(transformers, name):
                return name
    return ""


def tiny(family: str, *, images: bool = True) -> dict[str, Any]:
    """The config of a family with small numbers in it, as plain data; with `images`, for small images too."""
    config = transformers.CONFIG_MAPPING[family]().to_dict()
    return {**small(config, images), "architectures": [head_of(family)]}


def runnable(family: str) -> tuple[dict[str, Any], Any]:
    """(config, model) of the first tiny config that a forward pass goes through, on an example of its inputs.

    Where nothing is known of the inputs, of the first that can be built.
    """
    from penjing.errors import LayoutError
    from penjing.layouts.graph.inputs import example
    from penjing.surgery.memory import run

    failed: Exception | None = None
    for change in CHANGES:
        try:
            config = changed(tiny(family, images=change != "images"), change)
            model = build(config)
            run(model, example(model, device="cpu"))
            return config, model
        except LayoutError:
            return config, model
        except Exception as error:
            failed = failed or error
    raise failed or ValueError(family)


CHANGES = ("", "images", "head_dim", "heads")
"""What is tried where a class refuses its config: images as large as they were, heads' dims written out, no groups."""


def changed(config: Mapping[str, Any], change: str) -> dict[str, Any]:
    """The config with one such change, and so the configs in it."""
    out = {k: changed(v, change) if isinstance(v, Mapping) else v for k, v in config.items()}
    if change == "head_dim" and out.get("head_dim", 0) is None:
        out["head_dim"] = 8
    if change == "heads" and {"num_key_value_heads", "num_attention_heads"} <= out.keys():
        out["num_key_value_heads"] = out["num_attention_heads"]
    return out


def small(config: Mapping[str, Any], images: bool = True) -> dict[str, Any]:
    """A config with small numbers for large ones, and so the configs in it."""
    counts = [config.get(k) for k in ("num_hidden_layers", "n_layer", "num_layers")]
    deep = next((n for n in counts if isinstance(n, int)), 0)
    out: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and key not in ("id2label", "label2id"):
            out[key] = small(value, images) if "model_type" in value or key.endswith("config") else dict(value)
        elif isinstance(value, bool) or value is None:
            out[key] = value
        elif isinstance(value, int):
            out[key] = value if not images and IMAGES.fullmatch(key) else number(key, value)
        elif isinstance(value, list | tuple) and value:
            out[key] = several(key, list(value), deep)
        else:
            out[key] = value
    for key in ("out_features", "out_indices", "stage_names", "_out_features", "_out_indices"):
        out.pop(key, None)
    if isinstance(out.get("per_layer_config"), Mapping):
        out["per_layer_config"] = {k: v for k, v in out["per_layer_config"].items() if int(k) < 2}
    if images and "image_size" in out and "window_size" in out:
        out["window_size"] = 4
    if isinstance(out.get("kv_lora_rank"), int) and "num_key_value_heads" in out:
        out["num_key_value_heads"] = out["num_attention_heads"]
    if "expand" in out and "num_heads" in out and isinstance(out.get("head_dim"), int):
        out["num_heads"] = out["hidden_size"] * out["expand"] // out["head_dim"]
    if "mamba_expand" in out and "mamba_n_heads" in out:
        out["mamba_n_heads"] = out["hidden_size"] * out["mamba_expand"] // 8
    if "n_mamba_heads" in out and "mamba_expand" in out and "mamba_headdim" in out:
        out["mamba_headdim"] = out["hidden_size"] * out["mamba_expand"] // out["n_mamba_heads"]
    for key, number_ in (("n_labels", 4), ("prediction_length", 4), ("vocab_size", 99), ("num_experts_per_tok", 2)):
        if key in out and out[key] is None:
            out[key] = number_
    if isinstance(out.get("layer_types"), list):
        kinds = list(dict.fromkeys(config["layer_types"]))
        count = max(2, len(kinds))
        out["layer_types"] = (kinds * 2)[:count]
        out |= {k: count for k in ("num_hidden_layers",) if k in out}
    return out


def number(key: str, value: int) -> int:
    """The small value of an entry, or its own."""
    if MARKS.fullmatch(key):
        return value if value < 90 else 3 + len(key) % 80
    for pattern, found in RULES:
        if re.fullmatch(pattern, key):
            return min(value, found) if value > 0 else value
    return value


def several(key: str, value: list[Any], deep: int) -> list[Any]:
    """A list of widths, depths or heads with small numbers; one with an item per layer is as short as the model."""
    if all(type(v) is int for v in value):
        if WIDTHS.fullmatch(key):
            return [16 * (k + 1) for k in range(len(value))]
        if DEPTHS.fullmatch(key):
            return [1 for _ in value]
        if COUNTS.fullmatch(key):
            return [2 for _ in value]
        if key in ("conv_dim", "conv_channels", "tdnn_dim"):
            return [16 for _ in value]
    if deep > 2 and len(value) == deep:
        return value[:2]
    return value


def build(config: Mapping[str, Any], *, device: str = "cpu", seed: int = 0) -> Any:
    """The model of a tiny config with random weights, in evaluation mode."""
    kind = getattr(transformers, config["architectures"][0])
    plain = {k: v for k, v in config.items() if k != "architectures"}
    settings = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(plain)
    torch.manual_seed(seed)
    with torch.device(device):
        return kind._from_config(settings, dtype=torch.float32).eval()
