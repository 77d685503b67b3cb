"""Strip-MLP: each channel mixes its row, and its column, with a matrix that also reads the neighbouring lines.

Channels lie in groups that share matrices. Half of the channels go that way, the other half through depthwise strips
(3 x 7 and 7 x 3) weighed by what the map asks for; a depthwise convolution and an MLP over channels follow. Four
stages; the side of the map is in the shapes of the strips.

Source: Cao et al., "Strip-MLP: Efficient Token Interaction for Vision MLP", arXiv:2307.11458, and the authors' code for
what the paper leaves open (which input is read again after the columns, additive codes of the diagonals, a
response norm over channels, the rule that 80 divides the width of models with two groups). The response norm divides
by the number of channels that the model was made with (`response_sizes`), so that channels can be cut.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from penjing.core.architecture import Architecture
from penjing.layers.drop_path import DropPath


class Config(PreTrainedConfig):
    """The entries; lists have one value for each stage. `groups` counts the groups that share strip matrices."""

    model_type = "strip_mlp"

    image_size: int = 224
    num_channels: int = 3
    patch_size: int = 4
    hidden_sizes: list[int] | tuple[int, ...] = (80, 160, 320, 640)
    depths: list[int] | tuple[int, ...] = (2, 2, 12, 2)
    groups: list[int] | tuple[int, ...] = (2, 2, 2, 2)
    strip_width: int = 3
    intermediate_sizes: list[int] | tuple[int, ...] = (240, 480, 960, 1920)
    response_sizes: list[int] | tuple[int, ...] = (240, 480, 960, 1920)
    local_sizes: list[int] | tuple[int, ...] = (20, 40, 80, 160)
    drop_path_rate: float = 0.1
    initializer_range: float = 0.02

    def side(self, stage: int) -> int:
        """The side of the map in a stage."""
        return self.image_size // self.patch_size // 2**stage


class Strip(nn.Module):
    """Each row of the map, mixed with `width` rows around it; x [batch C H W], H = W = side.

    Channel group * (C / groups) + j has matrix number j.
    """

    def __init__(self, size: int, side: int, groups: int, width: int) -> None:
        super().__init__()
        if size % groups:
            raise ValueError(f"{size} channels do not make {groups} groups; groups must divide half of hidden_sizes")
        self.groups, self.each = groups, size // groups
        inner = self.each * side
        self.mix = nn.Conv2d(inner, inner, (1, width), padding=(0, width // 2), groups=self.each)
        self.codes = nn.Parameter(torch.empty(2 * side + 1, size))

    def forward(self, x: Tensor) -> Tensor:
        """The map, of the same shape."""
        side = x.shape[-1]
        place = torch.arange(side, device=x.device)
        x = x + self.codes[(place[None] - place[:, None]) + side].permute(2, 0, 1)
        y = x.unflatten(1, (self.groups, self.each)).permute(0, 2, 4, 1, 3).flatten(1, 2)  # [batch each*W groups H]
        return self.mix(y).unflatten(1, (self.each, side)).permute(0, 3, 1, 4, 2).flatten(1, 2)


class Strips(nn.Module):
    """Rows, then columns, each beside what it was made from."""

    def __init__(self, size: int, side: int, groups: int, width: int) -> None:
        super().__init__()
        self.rows, self.columns = (Strip(size, side, groups, width) for _ in range(2))
        self.between = nn.Conv2d(2 * size, size, 1, bias=False)
        self.norm, self.act = nn.BatchNorm2d(size), nn.GELU()
        self.after = nn.Conv2d(2 * size, size, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch C side side]."""
        y = self.act(self.norm(self.between(torch.cat([self.rows(x), x], 1))))
        y = self.columns(y.transpose(2, 3)).transpose(2, 3)
        return self.after(torch.cat([x, y], 1))


class Local(nn.Module):
    """Depthwise strips of both directions and the map itself, weighed channel by channel."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.flat = nn.Conv2d(size, size, (3, 7), padding=(1, 3), groups=size, bias=False)
        self.tall = nn.Conv2d(size, size, (7, 3), padding=(3, 1), groups=size, bias=False)
        self.reduce, self.act, self.expand = nn.Linear(size, inner), nn.GELU(), nn.Linear(inner, 3 * size)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch C H W]."""
        flat, tall = self.flat(x), self.tall(x)
        weights = self.expand(self.act(self.reduce((flat + tall + x).mean((2, 3)))))
        first, second, third = weights.unflatten(1, (-1, 3)).softmax(2)[..., None, None].unbind(2)
        return tall * first + flat * second + x * third


class Response(nn.Module):
    """gamma * x * n + beta + x, n the norm of a channel over the mean of all; x [batch H W C].

    Source: Woo et al., "ConvNeXt V2", arXiv:2301.00808. The mean is a sum divided by a number that stays.
    """

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.gamma, self.beta = nn.Parameter(torch.empty(size)), nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        """As many channels, [batch H W C]."""
        norm = x.square().sum((1, 2), keepdim=True).sqrt()
        share = norm / (norm.sum(-1, keepdim=True) / self.count + 1e-6)
        return self.gamma * (x * share) + self.beta + x


class Block(nn.Module):
    """Tokens, then channels, each added to the map [batch C side side]."""

    def __init__(self, config: Config, stage: int) -> None:
        super().__init__()
        size, wide, half = config.hidden_sizes[stage], config.intermediate_sizes[stage], config.hidden_sizes[stage] // 2
        self.norm1, self.act = nn.BatchNorm2d(size), nn.GELU()
        self.near = nn.Conv2d(size, size, 3, padding=1, groups=size, bias=False)
        self.enter, self.norm2 = nn.Conv2d(size, size, 1), nn.BatchNorm2d(size)
        self.strips = Strips(half, config.side(stage), config.groups[stage], config.strip_width)
        self.local = Local(size - half, config.local_sizes[stage])
        self.leave = nn.Conv2d(size, size, 1, bias=False)
        self.wide = nn.Conv2d(size, size, 7, padding=3, groups=size, bias=False)
        self.norm3 = nn.LayerNorm(size)
        self.up, self.response, self.down = (
            nn.Linear(size, wide), Response(wide, config.response_sizes[stage]), nn.Linear(wide, size)
        )  # fmt: skip
        self.drop = DropPath(config.drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch C side side]."""
        y = self.near(self.act(self.norm1(x)))
        y = self.act(self.norm2(self.enter(y)))
        first, second = y.chunk(2, 1)
        x = x + self.drop(self.leave(torch.cat([self.strips(first), self.local(second)], 1)))
        y = self.norm3(self.wide(x).permute(0, 2, 3, 1))
        y = self.down(self.response(self.act(self.up(y))))
        return x + self.drop(y.permute(0, 3, 1, 2))


class StripMLPForImageClassification(PreTrainedModel):
    """Pixels [batch channels side side] to logits [batch labels]."""

    config_class = Config
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Block"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        sizes = list(config.hidden_sizes)
        stem = nn.Conv2d(config.num_channels, sizes[0], config.patch_size, config.patch_size, bias=False)
        pairs = list(pairwise(sizes))
        self.reduce = nn.ModuleList([stem, *(nn.Conv2d(a, b, 2, 2, bias=False) for a, b in pairs)])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(config, i) for _ in range(depth))) for i, depth in enumerate(config.depths)
        )
        self.early = nn.ModuleList(nn.Conv2d(a, b, 2, 2, groups=a, bias=False) for a, b in pairs[1:])
        self.late = nn.ModuleList(nn.Conv2d(a, b, 2, 2, groups=a, bias=False) for a, b in pairs[2:])
        self.norm = nn.BatchNorm2d(sizes[-1])
        self.classifier = nn.Linear(sizes[-1], int(config.num_labels or 1))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=self.config.initializer_range)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d, nn.Conv2d)):
            module.reset_parameters()
        elif isinstance(module, Strip):
            nn.init.trunc_normal_(module.codes, std=self.config.initializer_range)
        elif isinstance(module, Response):
            nn.init.zeros_(module.gamma)
            nn.init.zeros_(module.beta)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageClassifierOutput:
        """Logits, and with `labels` [batch] the loss.

        Raises:
            ValueError: the images are not of the size that the strips were made for.
        """
        side = self.config.image_size
        if tuple(pixel_values.shape[2:]) != (side, side):
            found = " x ".join(map(str, pixel_values.shape[2:]))
            raise ValueError(f"images are {found}; the weights of this Strip-MLP are for {side} x {side} alone")
        x, skips = pixel_values, None
        for i, (reduce, stage) in enumerate(zip(self.reduce, self.stages, strict=True)):
            x = reduce(x)
            entered = x
            for extra in skips or ():
                x = x + extra
            x = stage(x)
            skips = self._skips(i, entered, skips)
        logits = self.classifier(self.norm(x).mean((2, 3)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)

    def _skips(self, stage: int, entered: Tensor, before: Sequence[Tensor] | None) -> list[Tensor] | None:
        """What is added to the map that enters the next stage: the maps that entered earlier ones, made smaller."""
        if stage == 0 or stage == len(self.stages) - 1:
            return None
        if stage == 1:
            return [self.early[0](entered)]
        return [self.early[stage - 1]((before or [entered])[0]), self.late[stage - 2](entered)]


Model = StripMLPForImageClassification


def _size(width: int, depth: int) -> dict[str, Any]:
    sizes = [width * 2**i for i in range(4)]
    return {
        "hidden_sizes": sizes, "depths": [2, 2, depth, 2], "groups": [2 if size % 80 == 0 else 4 for size in sizes],
        "intermediate_sizes": [3 * size for size in sizes], "response_sizes": [3 * size for size in sizes],
        "local_sizes": [size // 4 for size in sizes], "num_labels": 1000,
    }  # fmt: skip


CARD = Architecture(
    title="Strip-MLP",
    paper="arXiv:2307.11458",
    sizes={
        "t-light": _size(80, 6), "t": _size(80, 12), "s": _size(96, 18), "b": _size(112, 18),
        "tiny": {
            "image_size": 16, "patch_size": 2, "hidden_sizes": [8, 16, 32], "depths": [1, 1, 1], "groups": [2, 4, 4],
            "intermediate_sizes": [24, 30, 40], "response_sizes": [24, 30, 40], "local_sizes": [3, 5, 6],
            "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={"t-light": 18_243_920, "t": 24_903_920, "s": 42_568_600, "b": 57_216_480},
    macs={"t-light": 2_518_593_280, "t": 3_648_236_800, "s": 6_803_134_464, "b": 9_184_947_968},
    weights="on the authors' drive, linked from their repository",
    licence="MIT",
)  # fmt: skip
