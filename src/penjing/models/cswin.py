"""CSWin: half of the heads attend in vertical stripes of the map and half in horizontal ones, together a cross.

Four stages; stripes grow wider from stage to stage, and the last attends over the whole map. Values have a depthwise
convolution added to what attention makes of them (LePE), within each stripe, with zeros outside of it.

Source: Dong et al., "CSWin Transformer: A General Vision Transformer Backbone with Cross-Shaped Windows",
arXiv:2107.00652, and the authors' code for what the paper leaves open (padding 2 before the first convolution, LePE
within the stripe). Queries, keys and values are layers of their own here, for each branch, so that branches may have
different numbers of heads; `from_released` splits the authors' joint ones. Of the multiply-adds that the paper prints,
those of size L (31.5 G) are 5 % below what its architecture gives (33.1 G).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from penjing.core.architecture import Architecture
from penjing.errors import CheckpointError
from penjing.layers.drop_path import DropPath
from penjing.layers.staged import StagedForImageClassification
from penjing.layers.windows import join, split


class Config(PreTrainedConfig):
    """The entries; lists have one value for each stage. `num_heads` counts the heads of both branches together."""

    model_type = "cswin"

    image_size: int = 224
    num_channels: int = 3
    patch_size: int = 7
    patch_stride: int = 4
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    depths: list[int] | tuple[int, ...] = (1, 2, 21, 1)
    num_heads: list[int] | tuple[int, ...] = (2, 4, 8, 16)
    head_dims: list[int] | tuple[int, ...] = (32, 32, 32, 32)
    intermediate_sizes: list[int] | tuple[int, ...] = (256, 512, 1024, 2048)
    stripe_widths: list[int] | tuple[int, ...] = (1, 2, 7, 7)
    drop_path_rate: float = 0.0
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def side(self, stage: int) -> int:
        """The side of the map in a stage, for an image of `image_size`."""
        side = (self.image_size + 2 * (self.patch_stride // 2) - self.patch_size) // self.patch_stride + 1
        for _ in range(stage):
            side = (side - 1) // 2 + 1
        return side

    def whole(self, stage: int) -> bool:
        """Whether a stage attends over the whole map: the last, and one whose stripes are as wide as the map."""
        return stage == len(self.depths) - 1 or self.stripe_widths[stage] >= self.side(stage)


class Branch(nn.Module):
    """Attention within rectangles of the map, with LePE; x [batch H W C] to [batch H W heads * head_dim]."""

    def __init__(self, channels: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.query, self.key, self.value = (nn.Linear(channels, heads * head_dim) for _ in range(3))
        self.lepe = nn.Conv2d(heads * head_dim, heads * head_dim, 3, padding=1, groups=heads * head_dim)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Each rectangle of height x width by itself."""
        rows, columns = x.shape[1:3]
        q, k, v = (split(part(x), height, width) for part in (self.query, self.key, self.value))
        places = self.lepe(v.unflatten(1, (height, width)).permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        q, k, v = (t.unflatten(2, (-1, self.head_dim)).transpose(1, 2) for t in (q, k, v))
        seen = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return join(seen + places, height, width, rows, columns)


class Block(nn.Module):
    """Attention in a cross of stripes, then an MLP, each added to the stream [batch H W C]."""

    def __init__(self, config: Config, stage: int, drop: float) -> None:
        super().__init__()
        size, heads, dim = config.hidden_sizes[stage], config.num_heads[stage], config.head_dims[stage]
        self.stripe = config.stripe_widths[stage]
        each = [heads] if config.whole(stage) else [heads // 2, heads - heads // 2]
        self.norm1 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.branches = nn.ModuleList(Branch(size, count, dim) for count in each)
        self.proj = nn.Linear(heads * dim, size)
        self.norm2 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.up = nn.Linear(size, config.intermediate_sizes[stage])
        self.act = nn.GELU()
        self.down = nn.Linear(config.intermediate_sizes[stage], size)
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """The stream, [batch H W C]."""
        rows, columns = x.shape[1:3]
        stripes = ((rows, self.stripe), (self.stripe, columns))
        if len(self.branches) == 1:
            stripes = ((rows, columns),)
        y = self.norm1(x)
        seen = [branch(y, *shape) for branch, shape in zip(self.branches, stripes, strict=True)]
        x = x + self.drop(self.proj(torch.cat(seen, -1)))
        return x + self.drop(self.down(self.act(self.up(self.norm2(x)))))


class Stage(nn.Module):
    """A convolution that makes the map smaller, a norm, and blocks; x [batch C H W] to [batch C' H' W']."""

    def __init__(self, config: Config, stage: int, rates: Sequence[float]) -> None:
        super().__init__()
        size, stride = config.hidden_sizes[stage], config.patch_stride
        if stage == 0:
            self.reduce = nn.Conv2d(config.num_channels, size, config.patch_size, stride, stride // 2)
        else:
            self.reduce = nn.Conv2d(config.hidden_sizes[stage - 1], size, 3, 2, 1)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.blocks = nn.ModuleList(Block(config, stage, rate) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        """The map of this stage."""
        x = self.norm(self.reduce(x).permute(0, 2, 3, 1))
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2)


class CSWinForImageClassification(StagedForImageClassification):
    """Pixels [batch channels height width] to logits [batch labels]."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, Stage)


Model = CSWinForImageClassification


def from_released(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """The authors' weights under the names of this model: joint queries, keys and values become layers of their own.

    Raises:
        CheckpointError: a key is missing or of another shape; the first one is named.
    """
    out: dict[str, Tensor] = {}

    def take(old: str, new: str, *shape: int) -> None:
        for kind in ("weight", "bias"):
            out[f"{new}.{kind}"] = _of(state, f"{old}.{kind}", shape if kind == "weight" else shape[:1])

    inputs = config.num_channels
    for i, size in enumerate(config.hidden_sizes):
        first = i == 0
        kernel = config.patch_size if first else 3
        take("stage1_conv_embed.0" if first else f"merge{i}.conv", f"stages.{i}.reduce", size, inputs, kernel, kernel)
        take("stage1_conv_embed.2" if first else f"merge{i}.norm", f"stages.{i}.norm", size)
        inner, wide = config.num_heads[i] * config.head_dims[i], config.intermediate_sizes[i]
        branches = 1 if config.whole(i) else 2
        for k in range(config.depths[i]):
            old, new = f"stage{i + 1}.{k}", f"stages.{i}.blocks.{k}"
            for of in ("norm1", "norm2"):
                take(f"{old}.{of}", f"{new}.{of}", size)
            take(f"{old}.proj", f"{new}.proj", size, inner)
            take(f"{old}.mlp.fc1", f"{new}.up", wide, size)
            take(f"{old}.mlp.fc2", f"{new}.down", size, wide)
            for kind, shape in (("weight", (3 * inner, size)), ("bias", (3 * inner,))):
                joint = _of(state, f"{old}.qkv.{kind}", shape)
                for part, name in zip(joint.chunk(3), ("query", "key", "value"), strict=True):
                    for b, piece in enumerate(part.chunk(branches)):
                        out[f"{new}.branches.{b}.{name}.{kind}"] = piece
            for b in range(branches):
                take(f"{old}.attns.{b}.get_v", f"{new}.branches.{b}.lepe", inner // branches, 1, 3, 3)
        inputs = size
    take("norm", "norm", inputs)
    take("head", "classifier", int(config.num_labels or 1), inputs)
    return out


def _of(state: Mapping[str, Tensor], key: str, shape: tuple[int, ...]) -> Tensor:
    found = state.get(key)
    if found is None or tuple(found.shape) != shape:
        what = "is missing" if found is None else f"has the shape {tuple(found.shape)}"
        raise CheckpointError(
            f"'{key}' {what}; CSWin of this size needs it with {shape}: take the weights of this size"
        )
    return found


def _size(width: int, depths: list[int], heads: list[int], drop: float) -> dict[str, Any]:
    sizes = [width * 2**i for i in range(4)]
    return {
        "hidden_sizes": sizes, "depths": depths, "num_heads": heads, "num_labels": 1000, "drop_path_rate": drop,
        "head_dims": [size // count for size, count in zip(sizes, heads, strict=True)],
        "intermediate_sizes": [4 * size for size in sizes],
    }  # fmt: skip


CARD = Architecture(
    title="CSWin Transformer",
    paper="arXiv:2107.00652",
    sizes={
        "tiny-224": _size(64, [1, 2, 21, 1], [2, 4, 8, 16], 0.2),
        "small-224": _size(64, [2, 4, 32, 2], [2, 4, 8, 16], 0.4),
        "base-224": _size(96, [2, 4, 32, 2], [4, 8, 16, 32], 0.5),
        "large-224": _size(144, [2, 4, 32, 2], [6, 12, 24, 24], 0.5),
        "tiny": {
            "image_size": 12, "patch_size": 3, "patch_stride": 1, "hidden_sizes": [12, 20], "depths": [1, 2],
            "num_heads": [4, 3], "head_dims": [4, 6], "intermediate_sizes": [24, 28], "stripe_widths": [2, 3],
            "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={
        "tiny-224": 22_320_552, "small-224": 34_643_304, "base-224": 77_382_184, "large-224": 173_262_664,
    },
    macs={
        "tiny-224": 4_324_203_008, "small-224": 6_800_714_752, "base-224": 14_955_348_480,
        "large-224": 33_130_144_512,
    },
    weights="github.com/microsoft/CSWin-Transformer, releases; `from_released` renames them",
    licence="MIT",
)  # fmt: skip
