"""A plain MLP on the pixels of an image, in residual blocks with an inverted bottleneck.

No weight is shared between places of the image, so what it knows of images it learnt. A block widens `hidden_size` to
its own width of `intermediate_size`, which may differ from block to block.

Source: Bachmann, Anagnostidis and Hofmann, "Scaling MLPs: A Tale of Inductive Bias", arXiv:2306.13575. Their sizes
`B_L-Wi_m` have L blocks, residual width m, and 4 m within a block, on 64 x 64 pixels. The counts they print (24, 37, 74
and 124 million) include a head of 11,230 classes. Their baseline without residuals is not here.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import ImageClassifierOutput

from penjing.core.architecture import Architecture


class Config(PreTrainedConfig):
    """The entries; `intermediate_size` is one width for all blocks, or a list with one for each."""

    model_type = "scaling_mlps"

    image_size: int = 64
    num_channels: int = 3
    hidden_size: int = 512
    num_hidden_layers: int = 6
    intermediate_size: int | list[int] = 2048
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def widths(self) -> Sequence[int]:
        """The inner width of each block.

        Raises:
            ValueError: a list has another length than there are blocks.
        """
        given = self.intermediate_size
        widths = [given] * self.num_hidden_layers if isinstance(given, int) else list(given)
        if len(widths) != self.num_hidden_layers:
            raise ValueError(
                f"intermediate_size lists {len(widths)} widths and num_hidden_layers is {self.num_hidden_layers}; "
                "needed one for each"
            )
        return widths


class Block(nn.Module):
    """x + down(act(up(norm(x)))), x [... hidden]."""

    def __init__(self, config: Config, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.up = nn.Linear(config.hidden_size, width)
        self.act = ACT2FN[config.hidden_act]
        self.down = nn.Linear(width, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, [... hidden]."""
        return x + self.down(self.act(self.up(self.norm(x))))


class ScalingMLPForImageClassification(PreTrainedModel):
    """Pixels [batch channels side side] to logits [batch labels]."""

    config_class = Config
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Block"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.inputs = nn.Linear(config.num_channels * config.image_size**2, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, width) for width in config.widths())
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 1))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=self.config.initializer_range)
            nn.init.zeros_(module.bias)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageClassifierOutput:
        """Logits, and with `labels` [batch] the loss."""
        x = self.inputs(pixel_values.flatten(1))
        for block in self.blocks:
            x = block(x)
        logits = self.classifier(x)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


Model = ScalingMLPForImageClassification


def _size(blocks: int, width: int) -> dict[str, Any]:
    return {"num_hidden_layers": blocks, "hidden_size": width, "intermediate_size": 4 * width, "num_labels": 11_230}


CARD = Architecture(
    title="Scaling MLPs",
    paper="arXiv:2306.13575",
    sizes={
        "b6-wi512": _size(6, 512), "b12-wi512": _size(12, 512), "b6-wi1024": _size(6, 1024),
        "b12-wi1024": _size(12, 1024),
        "tiny": {
            "image_size": 6, "hidden_size": 10, "num_hidden_layers": 3, "intermediate_size": [12, 20, 14],
            "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={
        "b6-wi512": 24_657_374, "b12-wi512": 37_261_790, "b6-wi1024": 74_469_342, "b12-wi1024": 124_843_998,
    },
    macs={
        name: 12_288 * width + 8 * blocks * width**2 + 11_230 * width
        for name, blocks, width in (
            ("b6-wi512", 6, 512), ("b12-wi512", 12, 512), ("b6-wi1024", 6, 1024), ("b12-wi1024", 12, 1024)
        )
    },
    weights="on the authors' drive, linked from their repository",
)  # fmt: skip
