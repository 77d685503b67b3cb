"""MS-MLP: groups of channels, each shifted around the map by its own distance and mixed by a depthwise convolution.

The kernel grows with the distance of a group from the first one. Left and right, and up and down, are two branches with
weights of their own; their sum goes through a norm and an MLP over channels, and the whole is one residual.

Source: Zheng et al., "Mixing and Shifting: Exploiting Global and Local Dependencies in Vision MLPs", arXiv:2202.06510,
and the authors' released configs for depths and kernels. Shifts wrap around. The multiply-adds that the paper prints
(4.9, 9.0 and 16.1 G) are 4 to 10 % above what its architecture gives. Groups hold `groups` channels, which is
stored: channels that are cut leave theirs, and nothing is divided anew.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from penjing.core.architecture import Architecture
from penjing.layers.drop_path import DropPath
from penjing.layers.shifts import MixShift
from penjing.layers.staged import StagedForImageClassification

RELEASED = ((1, 1, 3, 5, 7), (1, 3, 3, 5, 7), (1, 5, 5, 5, 7), (1, 7, 7, 7, 7))


class Config(PreTrainedConfig):
    """The entries; lists have one value for each stage, and `kernels` a list for each: one side for each group."""

    model_type = "ms_mlp"

    image_size: int = 224
    num_channels: int = 3
    patch_size: int = 4
    hidden_sizes: list[int] | tuple[int, ...] = (96, 192, 384, 768)
    depths: list[int] | tuple[int, ...] = (3, 3, 9, 3)
    intermediate_sizes: list[int] | tuple[int, ...] = (384, 768, 1536, 3072)
    shifts: list[int] | tuple[int, ...] = (-2, -1, 0, 1, 2)
    kernels: list[list[int]] | tuple[tuple[int, ...], ...] = RELEASED
    layer_scale: float = 1e-6
    drop_path_rate: float = 0.0
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02


class Block(nn.Module):
    """x + gamma * down(act(up(norm(mix(x))))), x [batch C H W]."""

    def __init__(self, config: Config, stage: int, drop: float) -> None:
        super().__init__()
        size, wide = config.hidden_sizes[stage], config.intermediate_sizes[stage]
        self.mix = MixShift(size, config.shifts, config.kernels[stage])
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.up = nn.Linear(size, wide)
        self.act = nn.GELU()
        self.down = nn.Linear(wide, size)
        self.gamma = nn.Parameter(torch.full((size,), config.layer_scale))
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch C H W]."""
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(self.act(self.up(y)))
        return x + self.drop(y.permute(0, 3, 1, 2))


class Stage(nn.Module):
    """A convolution of steps as wide as its kernel, a norm, and blocks."""

    def __init__(self, config: Config, stage: int, rates: Sequence[float]) -> None:
        super().__init__()
        size = config.hidden_sizes[stage]
        inputs, step = (config.hidden_sizes[stage - 1], 2) if stage else (config.num_channels, config.patch_size)
        self.reduce = nn.Conv2d(inputs, size, step, step)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.blocks = nn.ModuleList(Block(config, stage, rate) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        """The map of this stage.

        Raises:
            ValueError: a side is no multiple of the step.
        """
        step = self.reduce.kernel_size[0]
        if x.shape[2] % step or x.shape[3] % step:
            raise ValueError(
                f"a map of {x.shape[2]} x {x.shape[3]} has sides that {step} does not divide; pad the images"
            )
        x = self.norm(self.reduce(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        for block in self.blocks:
            x = block(x)
        return x


class MSMLPForImageClassification(StagedForImageClassification):
    """Pixels [batch channels height width] to logits [batch labels]."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, Stage)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Block):
            nn.init.constant_(module.gamma, self.config.layer_scale)
        else:
            super()._init_weights(module)

    def pooled(self, x: Tensor) -> Tensor:
        """[batch C] of the last map [batch C H W]: the mean is taken before the norm."""
        return self.norm(x.mean((2, 3)))


Model = MSMLPForImageClassification


def _size(width: int, depth: int, drop: float) -> dict[str, Any]:
    sizes = [width * 2**i for i in range(4)]
    return {
        "hidden_sizes": sizes, "depths": [3, 3, depth, 3], "intermediate_sizes": [4 * size for size in sizes],
        "drop_path_rate": drop, "num_labels": 1000,
    }  # fmt: skip


CARD = Architecture(
    title="MS-MLP",
    paper="arXiv:2202.06510",
    sizes={
        "ms-tiny": _size(96, 9, 0.1), "ms-small": _size(96, 27, 0.4), "ms-base": _size(128, 27, 0.5),
        "tiny": {
            "image_size": 12, "patch_size": 2, "hidden_sizes": [13, 18], "depths": [1, 2],
            "intermediate_sizes": [20, 24], "kernels": [[1, 1, 3, 3, 5], [1, 3, 3, 3, 3]], "layer_scale": 0.5,
            "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={"ms-tiny": 28_656_232, "ms-small": 50_303_752, "ms-base": 88_696_792},
    macs={"ms-tiny": 4_437_768_960, "ms-small": 8_667_135_360, "ms-base": 15_334_215_328},
    weights="github.com/JegZheng/MS-MLP, on the authors' drive",
    licence="MIT",
)  # fmt: skip
