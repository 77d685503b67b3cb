"""Modules that both tools cut: a residual CNN, two Llamas, a ViT and a Swin, with random weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.norm_one = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.two, self.norm_two = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm_one(self.one(x)).relu()
        return (x + self.norm_two(self.two(inner))).relu()


def cnn() -> nn.Module:
    """Three stages of residual blocks on 32 x 32 pictures."""
    stages: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for width in (64, 128, 256):
        stages += [Block(width), Block(width)]
        if width < 256:
            stages += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width)]
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def llama(groups: int) -> nn.Module:
    """A Llama of 8 blocks and 8 heads; `groups` key-value heads."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=512, intermediate_size=2048, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=groups,
        vocab_size=4096, use_cache=False, tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    shape = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 3}
    return ViTForImageClassification(ViTConfig(image_size=64, patch_size=8, num_labels=10, **shape))


def swin() -> nn.Module:
    from transformers import SwinConfig, SwinForImageClassification

    shape = {"embed_dim": 48, "depths": [2, 2], "num_heads": [3, 6], "window_size": 4}
    return SwinForImageClassification(SwinConfig(image_size=64, patch_size=4, num_labels=10, **shape))


@dataclass(frozen=True)
class Case:
    """A module, an input for it, and the suffixes of the names of its attention's and its last projections."""

    module: nn.Module
    example: Tensor
    last: str


def case(name: str) -> Case:
    """The case of this name, the same weights each time."""
    torch.manual_seed(0)
    makers = {"cnn": cnn, "llama": lambda: llama(8), "llama-gqa": lambda: llama(2), "vit": vit, "swin": swin}
    module = makers[name]().eval()
    side = 32 if name == "cnn" else 64
    words = name.startswith("llama")
    example = torch.arange(64)[None] if words else torch.randn(1, 3, side, side)
    last = {"cnn": list(dict(module.named_modules()))[-1]}.get(name, "lm_head" if words else "classifier")
    return Case(module, example, last)


def outcome(module: nn.Module, example: Tensor, before: int) -> dict[str, float]:
    """The share of parameters that is left, after one pass that has to be finite."""
    with torch.inference_mode():
        given = module(example)
    logits = given if isinstance(given, Tensor) else given.logits
    if not logits.isfinite().all():
        raise ArithmeticError("the smaller module's outputs are not finite")
    return {"parameters_kept": sum(p.numel() for p in module.parameters()) / before}
