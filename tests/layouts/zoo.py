# ruff: noqa: E501
"""Tiny configs of 47 kinds of transformers models, with the counts of axes that must at least be found in each.

The counts are those of an earlier trial, except for these, which are what is found here and only guard against loss:
segformer, pvt_v2, convnext, convnextv2, poolformer, efficientnet (these configs have few stages; the trial's configs are
not known), bart, whisper, regnet, mobilevit (more is found than in the trial), and bert, distilbert, albert, deberta_v2,
wav2vec2 (fewer are found than in the trial, and it is not known why). `kinds` are kinds of free axes that must be there.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of model: its config as a file would hold it, and the axes expected of it."""

    config: dict[str, Any]
    free: int
    sensitive: int = 0
    kinds: frozenset[str] = field(default_factory=frozenset)
    main: bool = False


TEXT = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**TEXT, "num_key_value_heads": 2, "max_position_embeddings": 64}
IMAGE = {"image_size": 16, "patch_size": 4, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2,
         "num_attention_heads": 4}  # fmt: skip
DECODER = frozenset({"neurons"})


def _causal(kind: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"model_type": kind, "architectures": [name], **settings}


ZOO: dict[str, Family] = {
    "llama": Family(config=_causal("llama", "LlamaForCausalLM", GROUPED), free=8, sensitive=1, kinds=DECODER, main=True),
    "llama_tied": Family(
        config=_causal("llama", "LlamaForCausalLM", {**GROUPED, "tie_word_embeddings": True}),
        free=8, sensitive=1, kinds=DECODER,
    ),
    "qwen2": Family(config=_causal("qwen2", "Qwen2ForCausalLM", GROUPED), free=8, sensitive=1, kinds=DECODER),
    "qwen3": Family(
        config=_causal("qwen3", "Qwen3ForCausalLM", {**GROUPED, "head_dim": 8}), free=8, sensitive=1, kinds=DECODER, main=True
    ),
    "mistral": Family(config=_causal("mistral", "MistralForCausalLM", GROUPED), free=8, sensitive=1, kinds=DECODER),
    "phi3": Family(
        config=_causal("phi3", "Phi3ForCausalLM", {**GROUPED, "pad_token_id": 0}), free=8, sensitive=1, kinds=DECODER, main=True
    ),
    "cohere": Family(config=_causal("cohere", "CohereForCausalLM", GROUPED), free=8, sensitive=1, kinds=DECODER),
    "starcoder2": Family(config=_causal("starcoder2", "Starcoder2ForCausalLM", GROUPED), free=8, sensitive=1, kinds=DECODER),
    "gemma2": Family(
        config=_causal("gemma2", "Gemma2ForCausalLM", {**GROUPED, "head_dim": 8, "query_pre_attn_scalar": 8}),
        free=8, sensitive=1, kinds=DECODER, main=True,
    ),
    "gpt_neox": Family(config=_causal("gpt_neox", "GPTNeoXForCausalLM", TEXT), free=8, sensitive=1, kinds=DECODER),
    "gptj": Family(
        config=_causal("gptj", "GPTJForCausalLM", {
            "vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4, "n_inner": 44,
        }),
        free=8, sensitive=1, kinds=DECODER,
    ),
    "gpt2": Family(
        config=_causal("gpt2", "GPT2LMHeadModel", {
            "vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 44,
        }),
        free=8, sensitive=1, kinds=DECODER, main=True,
    ),
    "opt": Family(
        config=_causal("opt", "OPTForCausalLM", {
            "vocab_size": 99, "hidden_size": 32, "ffn_dim": 44, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 64, "word_embed_proj_dim": 32,
        }),
        free=8, sensitive=1, kinds=DECODER,
    ),
    "bert": Family(config=_causal("bert", "BertForMaskedLM", TEXT), free=8, sensitive=1, kinds=DECODER, main=True),
    "distilbert": Family(
        config=_causal("distilbert", "DistilBertForMaskedLM", {
            "vocab_size": 99, "dim": 32, "hidden_dim": 44, "n_layers": 2, "n_heads": 4,
        }),
        free=8, sensitive=1, kinds=DECODER,
    ),
    "olmo2": Family(config=_causal("olmo2", "Olmo2ForCausalLM", GROUPED), free=4, sensitive=5, kinds=DECODER),
    "bloom": Family(
        config=_causal("bloom", "BloomForCausalLM", {"vocab_size": 99, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
        free=4, sensitive=1, kinds=DECODER,
    ),
    "falcon": Family(
        config=_causal("falcon", "FalconForCausalLM", {**TEXT, "new_decoder_architecture": True, "num_kv_heads": 2}),
        free=4, sensitive=1, kinds=DECODER,
    ),
    "mixtral": Family(
        config=_causal("mixtral", "MixtralForCausalLM", {**GROUPED, "num_local_experts": 5, "num_experts_per_tok": 2}),
        free=8, sensitive=3, kinds=DECODER, main=True,
    ),
    "qwen2_moe": Family(
        config=_causal("qwen2_moe", "Qwen2MoeForCausalLM", {
            **GROUPED, "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 20,
            "shared_expert_intermediate_size": 28, "decoder_sparse_step": 1,
        }),
        free=10, sensitive=3, kinds=DECODER,
    ),
    "gpt_oss": Family(
        config=_causal("gpt_oss", "GptOssForCausalLM", {
            **GROUPED, "head_dim": 8, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 8,
        }),
        free=8, sensitive=3, kinds=DECODER,
    ),
    "deepseek_v3": Family(
        config=_causal("deepseek_v3", "DeepseekV3ForCausalLM", {
            **GROUPED, "num_key_value_heads": 4, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
            "n_shared_experts": 1, "moe_intermediate_size": 20, "first_k_dense_replace": 1, "q_lora_rank": 12,
            "kv_lora_rank": 10, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, "v_head_dim": 8,
        }),
        free=9, sensitive=7, kinds=DECODER,
    ),
    "t5": Family(
        config=_causal("t5", "T5ForConditionalGeneration", {
            "vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 44, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4,
            "decoder_start_token_id": 0,
        }),
        free=20, sensitive=1, kinds=DECODER, main=True,
    ),
    "bart": Family(
        config=_causal("bart", "BartForConditionalGeneration", {
            "vocab_size": 99, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 44,
            "decoder_ffn_dim": 40, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 64,
        }),
        free=22, sensitive=1, kinds=DECODER,
    ),
    "whisper": Family(
        config=_causal("whisper", "WhisperForConditionalGeneration", {
            "vocab_size": 99, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 44,
            "decoder_ffn_dim": 40, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_mel_bins": 10,
            "max_source_positions": 12, "max_target_positions": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            "decoder_start_token_id": 1,
        }),
        free=23, sensitive=2, kinds=DECODER,
    ),
    "clip": Family(
        config=_causal("clip", "CLIPModel", {
            "projection_dim": 24,
            "text_config": {**TEXT, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1},
            "vision_config": {**IMAGE, "hidden_size": 40},
        }),
        free=17, sensitive=2, kinds=DECODER,
    ),
    "mamba": Family(
        config=_causal("mamba", "MambaForCausalLM", {
            "vocab_size": 99, "hidden_size": 32, "state_size": 6, "num_hidden_layers": 2, "expand": 2, "time_step_rank": 5,
        }),
        free=6, sensitive=1,
    ),
    "albert": Family(
        config=_causal("albert", "AlbertForMaskedLM", {**TEXT, "embedding_size": 20}), free=4, sensitive=2, kinds=DECODER
    ),
    "deberta_v2": Family(
        config=_causal("deberta-v2", "DebertaV2ForMaskedLM", {
            **TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_position_embeddings": 16,
            "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False,
        }),
        free=8, sensitive=1, kinds=DECODER,
    ),
    "wav2vec2": Family(
        config=_causal("wav2vec2", "Wav2Vec2Model", {
            **TEXT, "conv_dim": [16, 20], "conv_kernel": [6, 4], "conv_stride": [4, 2], "num_feat_extract_layers": 2,
            "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4,
        }),
        free=9, sensitive=1, kinds=DECODER,
    ),
    "vit": Family(config=_causal("vit", "ViTForImageClassification", IMAGE), free=8, sensitive=1, kinds=DECODER, main=True),
    "deit": Family(config=_causal("deit", "DeiTForImageClassification", IMAGE), free=8, sensitive=1, kinds=DECODER),
    "dinov2": Family(
        config=_causal("dinov2", "Dinov2ForImageClassification", {
            "image_size": 16, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_ratio": 2,
        }),
        free=8, sensitive=1, kinds=DECODER,
    ),
    "swin": Family(
        config=_causal("swin", "SwinForImageClassification", {
            "image_size": 16, "patch_size": 2, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4,
            "mlp_ratio": 2.0,
        }),
        free=16, sensitive=2, kinds=DECODER, main=True,
    ),
    "segformer": Family(
        config=_causal("segformer", "SegformerForSemanticSegmentation", {
            "image_size": 32, "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [16, 24],
            "patch_sizes": [3, 3], "strides": [2, 2], "num_attention_heads": [2, 4], "mlp_ratios": [2, 2],
            "decoder_hidden_size": 20,
        }),
        free=11, sensitive=3, kinds=frozenset(),
    ),
    "pvt_v2": Family(
        config=_causal("pvt_v2", "PvtV2Model", {
            "image_size": 32, "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [16, 24],
            "patch_sizes": [3, 3], "strides": [2, 2], "num_attention_heads": [2, 4], "mlp_ratios": [2, 2],
        }),
        free=8, sensitive=2, kinds=frozenset(),
    ),
    "convnext": Family(
        config=_causal("convnext", "ConvNextForImageClassification", {
            "image_size": 32, "num_stages": 2, "hidden_sizes": [12, 16], "depths": [2, 2],
        }),
        free=4, sensitive=2, kinds=frozenset(), main=True,
    ),
    "convnextv2": Family(
        config=_causal("convnextv2", "ConvNextV2ForImageClassification", {
            "image_size": 32, "num_stages": 2, "hidden_sizes": [12, 16], "depths": [2, 2],
        }),
        free=0, sensitive=6,
    ),
    "poolformer": Family(
        config=_causal("poolformer", "PoolFormerForImageClassification", {
            "image_size": 32, "num_encoder_blocks": 2, "depths": [2, 2], "hidden_sizes": [12, 16], "patch_sizes": [7, 3],
            "strides": [4, 2], "padding": [2, 1], "mlp_ratio": 2.0,
        }),
        free=4, sensitive=2,
    ),
    "resnet": Family(
        config=_causal("resnet", "ResNetForImageClassification", {
            "embedding_size": 10, "hidden_sizes": [16, 24], "depths": [2, 2], "layer_type": "bottleneck",
        }),
        free=11, main=True,
    ),
    "regnet": Family(
        config=_causal("regnet", "RegNetForImageClassification", {
            "embedding_size": 10, "hidden_sizes": [16, 24], "depths": [2, 2], "groups_width": 8, "layer_type": "y",
        }),
        free=19,
    ),
    "mobilenet_v2": Family(
        config=_causal("mobilenet_v2", "MobileNetV2ForImageClassification", {"image_size": 32, "depth_multiplier": 0.25}),
        free=25,
    ),
    "efficientnet": Family(
        config=_causal("efficientnet", "EfficientNetForImageClassification", {
            "image_size": 32, "kernel_sizes": [3, 3, 5], "in_channels": [32, 16, 24], "out_channels": [16, 24, 40],
            "strides": [1, 2, 2], "num_block_repeats": [1, 2, 2], "expand_ratios": [1, 6, 6], "width_coefficient": 0.5,
            "depth_coefficient": 1.0, "depthwise_padding": [], "hidden_dim": 640, "depth_divisor": 8,
        }),
        free=14,
    ),
    "mobilevit": Family(
        config=_causal("mobilevit", "MobileViTForImageClassification", {
            "image_size": 64, "patch_size": 2, "hidden_sizes": [16, 20, 24], "neck_hidden_sizes": [8, 12, 16, 20, 24, 28, 32],
            "num_attention_heads": 2, "mlp_ratio": 2.0,
        }),
        free=59, sensitive=3,
    ),
    "levit": Family(
        config=_causal("levit", "LevitForImageClassification", {
            "image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 3, 4], "depths": [1, 1, 1],
            "key_dim": [6, 6, 6], "attention_ratio": [2, 2, 2], "mlp_ratio": [2, 2, 2],
        }),
        free=26,
    ),
    "patchtst": Family(
        config=_causal("patchtst", "PatchTSTForPrediction", {
            "context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 2, "d_model": 32, "ffn_dim": 44,
            "num_hidden_layers": 2, "num_attention_heads": 4, "prediction_length": 6,
        }),
        free=9,
    ),
    "patchtsmixer": Family(
        config=_causal("patchtsmixer", "PatchTSMixerForPrediction", {
            "context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 2, "d_model": 32,
            "num_layers": 2, "prediction_length": 6,
        }),
        free=4,
        sensitive=1,
    ),
}  # fmt: skip
"""Family name -> tiny config and expectations."""
