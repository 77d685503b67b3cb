"""Hourglass language model: a decoder whose MLPs are stacks of narrow ones, each with a norm and a residual of its own.

Attention, cache and generation are those of Llama. `intermediate_sizes` lists the width of each MLP of a layer's stack;
one wide one is the usual decoder.

Source: Liao et al., "Revisiting the Shape Convention of Transformer Language Models", arXiv:2602.06471. No code was
released, and its figures were not at hand: a norm for each narrow MLP, its own residual, and SwiGLU are chosen here, as
are the sizes, whose counts follow from the formula. What writes to the stream begins smaller by the square root of
how many there are, as in GPT-2.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, LlamaConfig
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaForCausalLM,
    LlamaModel,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
)

from penjing.core.architecture import Architecture


class Config(LlamaConfig):
    """Llama's entries; `intermediate_sizes` lists the widths within a layer, and `intermediate_size` says nothing."""

    model_type = "hourglass_lm"

    intermediate_sizes: list[int] | tuple[int, ...] = (384, 384, 384, 384)


class Writer(nn.Linear):
    """A layer whose result is added to the stream; without biases."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)


class Narrow(nn.Module):
    """x + down(act(gate(norm(x))) * up(norm(x))), x [batch tokens hidden]."""

    def __init__(self, config: Config, width: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.norm = LlamaRMSNorm(size, eps=config.rms_norm_eps)
        self.gate_proj, self.up_proj = (nn.Linear(size, width, bias=False) for _ in range(2))
        self.act = ACT2FN[config.hidden_act]
        self.down_proj = Writer(width, size)

    def forward(self, x: Tensor) -> Tensor:
        """The stream, [batch tokens hidden]."""
        y = self.norm(x)
        return x + self.down_proj(self.act(self.gate_proj(y)) * self.up_proj(y))


class Layer(GradientCheckpointingLayer):
    """Attention, then the stack."""

    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = LlamaAttention(config=config, layer_idx=number)
        self.self_attn.o_proj = Writer(config.num_attention_heads * self.self_attn.head_dim, config.hidden_size)
        self.stack = nn.ModuleList(Narrow(config, width) for width in config.intermediate_sizes)

    def forward(self, hidden_states: Tensor, **others: Any) -> Tensor:
        """The stream, [batch tokens hidden]."""
        x = hidden_states + self.self_attn(hidden_states=self.input_layernorm(hidden_states), **others)[0]
        for narrow in self.stack:
            x = narrow(x)
        return x


class HourglassPreTrainedModel(LlamaPreTrainedModel):
    """What both classes share."""

    config_class = Config
    _no_split_modules = ["Layer"]  # noqa: RUF012 - as transformers declares it
    _can_record_outputs = {"hidden_states": Layer, "attentions": LlamaAttention}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Writer):
            writers = self.config.num_hidden_layers * (1 + len(self.config.intermediate_sizes))
            nn.init.normal_(module.weight, std=self.config.initializer_range / writers**0.5)
        else:
            super()._init_weights(module)


class HourglassModel(HourglassPreTrainedModel):
    """The decoder without its head."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()

    forward = LlamaModel.forward


class HourglassForCausalLM(HourglassPreTrainedModel, GenerationMixin):
    """The decoder with its head: generates, and gives the loss with `labels`."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.model = HourglassModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    forward = LlamaForCausalLM.forward


Model = HourglassForCausalLM


def _size(width: int, layers: int, stack: list[int]) -> dict[str, Any]:
    return {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 64,
        "num_key_value_heads": width // 64, "head_dim": 64, "intermediate_sizes": stack, "vocab_size": 32_000,
        "tie_word_embeddings": True,
    }  # fmt: skip


def _count(width: int, layers: int, stack: list[int]) -> int:
    layer = 4 * width**2 + width + sum(3 * width * inner + width for inner in stack)
    return layers * layer + 32_000 * width + width


_SIZES = {
    "768-k2": (768, 12, [384] * 2), "768-k4": (768, 12, [384] * 4), "768-k5": (768, 12, [410] * 5),
    "768-usual": (768, 12, [2048]),
}  # fmt: skip

_TINY = {
    "vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 4,
    "num_key_value_heads": 2, "intermediate_sizes": [10, 14], "max_position_embeddings": 64,
    "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip

CARD = Architecture(
    title="Hourglass language model",
    paper="arXiv:2602.06471",
    sizes={name: _size(*shape) for name, shape in _SIZES.items()} | {"tiny": _TINY},
    auto=("AutoModelForCausalLM",),
    parameters={name: _count(*shape) for name, shape in _SIZES.items()},
    licence="no code was released",
)
