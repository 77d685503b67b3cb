"""Gated units where a vision transformer has attention: every patch by itself, and their mean at the end.

No token mixing and no positions: as published, the logits do not change when the patches change places. `mixer` puts a
depthwise 3 x 3 convolution over the map of patches before each gated unit, `positions` adds learnt positions; both are
extensions, off by default, by which one measures what looking at other patches is worth.

Source: Abdullah and Aydin, "Activator: GLU Activation Function as the Core Component of a Vision Transformer",
arXiv:2405.15953, and the authors' code for what the paper leaves open: one norm for both branches of a block, one norm
for both factors of the gated unit, no norm before the head, dropout in the MLP alone. The counts are our own, of that
code at its default widths; the paper prints none.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import ImageClassifierOutput

from penjing.core.architecture import Architecture
from penjing.layers.gated import GatedUnit


class Config(PreTrainedConfig):
    """The entries; the two inner widths are one number for all blocks, or lists with one for each.

    `mlp_size` 0 leaves the MLP out ("GLU only"). Of `share_norm` False, the MLP has a norm of its own.
    """

    model_type = "activator"

    image_size: int = 32
    num_channels: int = 3
    patch_size: int = 4
    hidden_size: int = 256
    num_hidden_layers: int = 4
    gated_size: int | list[int] = 512
    mlp_size: int | list[int] = 512
    hidden_act: str = "gelu"
    dropout: float = 0.5
    share_norm: bool = True
    positions: bool = False
    mixer: Literal["none", "conv3"] = "none"
    layer_norm_eps: float = 1e-5

    def widths(self, entry: str) -> Sequence[int]:
        """The widths of each block, of "gated_size" or "mlp_size".

        Raises:
            ValueError: a list has another length than there are blocks.
        """
        given = getattr(self, entry)
        widths = [given] * self.num_hidden_layers if isinstance(given, int) else list(given)
        if len(widths) != self.num_hidden_layers:
            raise ValueError(
                f"{entry} lists {len(widths)} widths and num_hidden_layers is {self.num_hidden_layers}; "
                "needed one for each"
            )
        return widths


class Block(nn.Module):
    """x + gated(norm(x)), then x + down(act(up(norm(x)))) with the same norm; x [batch tokens hidden]."""

    def __init__(self, config: Config, gated: int, mlp: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.side = config.image_size // config.patch_size
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.mixer = nn.Conv2d(size, size, 3, padding=1, groups=size) if config.mixer == "conv3" else None
        self.gated = GatedUnit(size, gated, act=config.hidden_act, eps=config.layer_norm_eps)
        self.mlp_norm = None if config.share_norm or not mlp else nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.up = nn.Linear(size, mlp) if mlp else None
        self.act = ACT2FN[config.hidden_act]
        self.down = nn.Linear(mlp, size) if mlp else None
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, [batch tokens hidden]."""
        y = self.norm(x)
        if self.mixer is not None:
            y = y + self.mixer(y.transpose(1, 2).unflatten(2, (self.side, self.side))).flatten(2).transpose(1, 2)
        x = x + self.gated(y)
        if self.up is None or self.down is None:
            return x
        y = (self.norm if self.mlp_norm is None else self.mlp_norm)(x)
        return x + self.drop(self.down(self.drop(self.act(self.up(y)))))


class ActivatorForImageClassification(PreTrainedModel):
    """Pixels [batch channels side side] to logits [batch labels]."""

    config_class = Config
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Block"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.mixer not in ("none", "conv3"):
            raise ValueError(f"mixer is '{config.mixer}'; needed 'none' or 'conv3'")
        size = config.hidden_size
        self.patches = nn.Conv2d(config.num_channels, size, config.patch_size, config.patch_size)
        tokens = (config.image_size // config.patch_size) ** 2
        self.positions = nn.Parameter(torch.zeros(tokens, size)) if config.positions else None
        widths = zip(config.widths("gated_size"), config.widths("mlp_size"), strict=True)
        self.blocks = nn.ModuleList(Block(config, gated, mlp) for gated, mlp in widths)
        self.classifier = nn.Linear(size, int(config.num_labels or 1))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.LayerNorm)):
            module.reset_parameters()
        elif module is self and self.positions is not None:
            nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageClassifierOutput:
        """Logits, and with `labels` [batch] the loss."""
        x = self.patches(pixel_values).flatten(2).transpose(1, 2)
        if self.positions is not None:
            x = x + self.positions
        for block in self.blocks:
            x = block(x)
        logits = self.classifier(x.mean(1))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


Model = ActivatorForImageClassification

CARD = Architecture(
    title="Activator",
    paper="arXiv:2405.15953",
    sizes={
        "cifar10": {"num_labels": 10},
        "cifar100": {"num_labels": 100},
        "cifar10-glu-only": {"num_labels": 10, "mlp_size": 0},
        "cifar100-glu-only": {"num_labels": 100, "mlp_size": 0},
        "tiny": {
            "image_size": 8, "patch_size": 2, "hidden_size": 10, "num_hidden_layers": 2, "gated_size": [12, 20],
            "mlp_size": [14, 18], "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={
        "cifar10": 2_650_890, "cifar100": 2_674_020, "cifar10-glu-only": 1_599_242, "cifar100-glu-only": 1_622_372,
    },
    macs={
        name: 64 * 48 * 256 + 64 * 4 * products * 256 * 512 + 256 * labels
        for name, products, labels in (
            ("cifar10", 5, 10), ("cifar100", 5, 100), ("cifar10-glu-only", 3, 10), ("cifar100-glu-only", 3, 100)
        )
    },
    licence="BSD-3-Clause (the authors' code; no weights are published)",
)  # fmt: skip
