"""Tiny random models for the tests of this room."""

from pathlib import Path

import torch
from torch import nn

VOCABULARY = 37


def llama(*, neurons: int = 44, layers: int = 2, seed: int = 0, positions: int = 96, tied: bool = False) -> nn.Module:
    """A random Llama with odd sizes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=neurons,
        num_hidden_layers=layers,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=positions,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def folder(path: Path, **settings: int) -> Path:
    """The same, saved."""
    llama(**settings).save_pretrained(path)
    return path


def tokens(count: int, seed: int = 0) -> torch.Tensor:
    """Random token numbers."""
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))
