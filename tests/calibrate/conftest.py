"""Tiny models of several kinds, made once."""

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23, hidden_size=16, intermediate_size=20, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def vit():
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2, image_size=8, patch_size=4,
        num_channels=1, num_labels=5,
    )  # fmt: skip
    return ViTForImageClassification(config).eval()


@pytest.fixture(scope="session")
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 4)).eval()


@pytest.fixture(scope="session")
def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).eval()  # fmt: skip
