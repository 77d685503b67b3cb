"""RaftMLP: the token MLP of MLP-Mixer split into a vertical and a horizontal one, over `raft_size` channels together.

Each level embeds patches of several scales; each block mixes columns, rows and channels, with a residual for each. The
side of the grid is in the shapes of the token MLPs. On images of other sizes a block resizes its map to the trained
grid (bicubic) for the two of them, and back.

Source: Tatsunami and Taki, "RaftMLP: How Much Can Be Done Without Attention and with Less Spatial Locality?",
arXiv:2108.04384, and the authors' code for the order of channels. Their embedding is one linear layer on patches of
several sizes side by side; here it is a convolution for each size, summed, which is the same map. Their head over
several levels is not here.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from penjing.core.architecture import Architecture
from penjing.layers.drop_path import DropPath
from penjing.layers.staged import StagedForImageClassification


class Config(PreTrainedConfig):
    """The entries; lists have one value for each level, `kernels` a list for each, whose least is the level's step."""

    model_type = "raft_mlp"

    image_size: int = 224
    num_channels: int = 3
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    depths: list[int] | tuple[int, ...] = (2, 2, 6, 2)
    kernels: list[list[int]] | tuple[tuple[int, ...], ...] = ((4, 8), (2, 4), (2, 4), (2,))
    raft_size: int = 2
    vertical_sizes: list[int] | tuple[int, ...] = (224, 112, 56, 28)
    horizontal_sizes: list[int] | tuple[int, ...] = (224, 112, 56, 28)
    intermediate_sizes: list[int] | tuple[int, ...] = (256, 512, 1024, 2048)
    drop_path_rate: float = 0.0
    layer_norm_eps: float = 1e-5

    def grid(self, level: int) -> int:
        """The side of a level's grid, for an image of `image_size`."""
        side = self.image_size
        for kernels in self.kernels[: level + 1]:
            side = -(-side // min(kernels))
        return side


class MLP(nn.Sequential):
    """Two linear layers with a GELU between them."""

    def __init__(self, size: int, wide: int) -> None:
        super().__init__(nn.Linear(size, wide), nn.GELU(), nn.Linear(wide, size))


class Raft(nn.Module):
    """x + what an MLP makes of each line of the map and `raft` channels together; x [batch H W C].

    Channel k * (C / raft) + o is number k of raft o. Lines are columns, or rows if not `vertical`.
    """

    def __init__(self, size: int, line: int, wide: int, raft: int, *, vertical: bool, eps: float, drop: float) -> None:
        super().__init__()
        if size % raft:
            raise ValueError(f"{size} channels cannot be put into rafts of {raft}; raft_size must divide hidden_sizes")
        self.raft, self.vertical = raft, vertical
        self.norm = nn.LayerNorm(size, eps=eps)
        self.mlp = MLP(raft * line, wide)
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch H W C]."""
        y = self.norm(x).unflatten(3, (self.raft, -1))  # [batch H W raft O]
        y = y.permute(0, 4, 2, 3, 1) if self.vertical else y.permute(0, 4, 1, 3, 2)  # [batch O other raft line]
        y = self.mlp(y.flatten(3)).unflatten(3, (self.raft, -1))
        y = y.permute(0, 4, 2, 3, 1) if self.vertical else y.permute(0, 2, 4, 3, 1)
        return x + self.drop(y.flatten(3))


class Block(nn.Module):
    """Columns, rows, channels."""

    def __init__(self, config: Config, level: int, drop: float) -> None:
        super().__init__()
        size, eps = config.hidden_sizes[level], config.layer_norm_eps
        self.side = config.grid(level)
        of = (size, self.side)
        self.down = Raft(*of, config.vertical_sizes[level], config.raft_size, vertical=True, eps=eps, drop=drop)
        self.across = Raft(*of, config.horizontal_sizes[level], config.raft_size, vertical=False, eps=eps, drop=drop)
        self.norm = nn.LayerNorm(size, eps=eps)
        self.channels = MLP(size, config.intermediate_sizes[level])
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch H W C]."""
        grid = tuple(x.shape[1:3])
        if grid == (self.side, self.side):
            x = self.across(self.down(x))
        else:
            x = _resized(self.across(self.down(_resized(x, (self.side, self.side)))), grid)
        return x + self.drop(self.channels(self.norm(x)))


def _resized(x: Tensor, grid: Sequence[int]) -> Tensor:
    moved = nn.functional.interpolate(x.permute(0, 3, 1, 2), tuple(grid), mode="bicubic", align_corners=False)
    return moved.permute(0, 2, 3, 1)


class Level(nn.Module):
    """Patches of several scales embedded, and blocks; x [batch C H W] to [batch C' H' W']."""

    def __init__(self, config: Config, level: int, rates: Sequence[float]) -> None:
        super().__init__()
        inputs = config.hidden_sizes[level - 1] if level else config.num_channels
        kernels = config.kernels[level]
        self.step = min(kernels)
        self.embed = nn.ModuleList(
            nn.Conv2d(inputs, config.hidden_sizes[level], k, self.step, (k - self.step) // 2, bias=i == 0)
            for i, k in enumerate(kernels)
        )
        self.blocks = nn.ModuleList(Block(config, level, rate) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        """The map of this level; a side that its step does not divide is resized up to the next that it does."""
        rows, columns = (-(-side // self.step) * self.step for side in x.shape[2:])
        if (rows, columns) != tuple(x.shape[2:]):
            x = nn.functional.interpolate(x, (rows, columns), mode="bicubic", align_corners=False)
        first, *others = (embed(x) for embed in self.embed)
        for other in others:
            first = first + other
        x = first.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2)


class RaftMLPForImageClassification(StagedForImageClassification):
    """Pixels [batch channels height width] to logits [batch labels]."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, Level)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.LayerNorm, nn.Conv2d)):
            module.reset_parameters()


Model = RaftMLPForImageClassification


def _size(*sizes: int) -> dict[str, Any]:
    return {
        "hidden_sizes": list(sizes), "intermediate_sizes": [4 * size for size in sizes], "drop_path_rate": 0.1,
        "num_labels": 1000,
    }  # fmt: skip


def _single(raft: int) -> dict[str, Any]:
    wide = [2 * 14 * raft]
    return {
        "hidden_sizes": [768], "intermediate_sizes": [3072], "depths": [12], "kernels": [[16]], "raft_size": raft,
        "vertical_sizes": wide, "horizontal_sizes": wide, "num_labels": 1000,
    }  # fmt: skip


CARD = Architecture(
    title="RaftMLP",
    paper="arXiv:2108.04384",
    sizes={
        "raft-s": _size(64, 128, 256, 512), "raft-m": _size(96, 192, 384, 768), "raft-l": _size(128, 192, 512, 1024),
        "single-r1": _single(1), "single-r2": _single(2), "single-r4": _single(4),
        "tiny": {
            "image_size": 12, "hidden_sizes": [12, 18], "depths": [1, 2], "kernels": [[2, 4], [2]], "raft_size": 2,
            "vertical_sizes": [20, 10], "horizontal_sizes": [22, 12], "intermediate_sizes": [24, 28], "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={
        "raft-s": 9_868_768, "raft-m": 21_413_632, "raft-l": 36_184_672, "single-r1": 58_105_432,
        "single-r2": 58_162_888, "single-r4": 58_390_696,
    },
    macs={
        "raft-s": 2_087_030_784, "raft-m": 4_267_333_632, "raft-l": 6_543_974_400, "single-r1": 11_416_811_520,
        "single-r2": 11_619_121_152, "single-r4": 12_023_740_416,
    },
    weights="github.com/okojoalg/raft-mlp, releases",
    licence="Apache-2.0",
)  # fmt: skip
