"""A U of multi-axis blocks, of which a network that restores pictures has one after another.

Source: Tu et al., "MAXIM: Multi-Axis MLP for Image Processing", arXiv:2201.02973, and the authors' code.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from penjing.layers.channel_attention import ConvBlock, DenseBlock
from penjing.layers.multi_axis import CrossGate, MultiAxis

INNER = (
    "branch_sizes", "gated_sizes", "conv_sizes", "mlp_sizes", "squeeze_sizes", "cross_sizes", "gate_sizes",
    "gather_sizes", "down_sizes", "up_sizes",
)  # fmt: skip


class Sizes(Protocol):
    """What a U is made from: sizes by level, counts, and the lists of `INNER`."""

    num_channels: int
    hidden_sizes: list[int] | tuple[int, ...]
    grid_sides: list[int] | tuple[int, ...]
    block_sides: list[int] | tuple[int, ...]
    num_stages: int
    num_groups: int
    num_bottlenecks: int
    num_scales: int


class Widths:
    """The inner widths of a config, handed out in the order in which modules are made."""

    def __init__(self, config: Sizes) -> None:
        self.config = config
        self.used: dict[str, list[int]] = {entry: [] for entry in INNER}

    def take(self, entry: str, *usual: int) -> tuple[int, ...]:
        """The next widths, as many as there are usual ones.

        Raises:
            ValueError: the list of this entry is too short.
        """
        given, start = getattr(self.config, entry), len(self.used[entry])
        widths = usual if given is None else tuple(given[start : start + len(usual)])
        if len(widths) < len(usual):
            raise ValueError(f"{entry} lists too few widths, {len(given or ())}; None takes the paper's")
        self.used[entry] += widths
        return widths

    def settle(self) -> None:
        """Write into the config what was taken, where it left it open.

        Raises:
            ValueError: a list has more widths than were taken.
        """
        for entry, used in self.used.items():
            given = getattr(self.config, entry)
            if given is not None and len(given) != len(used):
                raise ValueError(f"{entry} lists {len(given)} widths, needed {len(used)}; None takes the paper's")
            setattr(self.config, entry, used)

    def sides(self, level: int) -> tuple[int, int]:
        """The sides of the grid and of a block."""
        return self.config.grid_sides[level], self.config.block_sides[level]

    def multi_axis(self, level: int) -> MultiAxis:
        """The next multi-axis block."""
        size = self.config.hidden_sizes[level]
        branches, inner = self.take("branch_sizes", size, size), self.take("gated_sizes", size, size)
        return MultiAxis(size, (branches[0], branches[1]), (inner[0], inner[1]), self.sides(level))

    def cross(self, level: int, x: int, y: int, *, up: bool = False) -> CrossGate:
        """The next cross gate."""
        size = self.config.hidden_sizes[level]
        widths, gates = self.take("cross_sizes", size, size), self.take("gate_sizes", *[size] * 4)
        return CrossGate(size, (x, y), (widths[0], widths[1]), gates, self.sides(level), up=up)


class Trunk(nn.Module):
    """A projection, and groups of a multi-axis and a channel-attention block, their input added; [batch C H W]."""

    def __init__(self, widths: Widths, level: int, inputs: int, *, dense: bool = False) -> None:
        super().__init__()
        size = widths.config.hidden_sizes[level]
        self.inputs = nn.Conv2d(inputs, size, 1)
        self.groups = nn.ModuleList()
        for _ in range(widths.config.num_groups):
            axes = widths.multi_axis(level)
            (inner,) = widths.take("mlp_sizes" if dense else "conv_sizes", size)
            (squeezed,) = widths.take("squeeze_sizes", max(size // 4, 1))
            self.groups.append(nn.Sequential(axes, (DenseBlock if dense else ConvBlock)(size, inner, squeezed)))

    def forward(self, x: Tensor) -> Tensor:
        """[batch size H W]."""
        y = x = self.inputs(x)
        for group in self.groups:
            y = group(y)
        return x + y


class Gather(nn.Module):
    """Maps of all levels, each resized to one level and projected, side by side; [batch widths H W]."""

    def __init__(self, widths: Widths, level: int) -> None:
        super().__init__()
        sizes = widths.config.hidden_sizes
        self.level = level
        self.outputs = widths.take("gather_sizes", *[sizes[level]] * len(sizes))
        self.inputs = nn.ModuleList(nn.Conv2d(size, out, 1) for size, out in zip(sizes, self.outputs, strict=True))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """From `maps`, the finest first."""
        side = maps[self.level].shape[2:]
        return torch.cat([to(resized(x, side)) for to, x in zip(self.inputs, maps, strict=True)], 1)


def resized(x: Tensor, side: Sequence[int]) -> Tensor:
    """Maps [batch C H W] with the given sides, bilinear, averaged over what falls together where it shrinks."""
    if tuple(x.shape[2:]) == tuple(side):
        return x
    size = [int(s) for s in side]
    return interpolate(x, size, mode="bilinear", antialias=size[0] < x.shape[2], align_corners=False)


class Attended(nn.Module):
    """A stage's picture, and its map weighed by what the picture shows: `SAM` of the paper."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(size, size, 3, padding=1)
        self.image = nn.Conv2d(size, channels, 3, padding=1)
        self.attention = nn.Conv2d(channels, size, 3, padding=1)

    def forward(self, x: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The picture [batch channels H W], and the map [batch size H W]."""
        image = self.image(x) + picture
        return image, self.features(x) * torch.sigmoid(self.attention(image)) + x


class Stage(nn.Module):
    """One U: pictures of several scales in, pictures of as many scales and the maps for the next stage out."""

    def __init__(self, widths: Widths, stage: int) -> None:
        super().__init__()
        config, self.later = widths.config, stage > 0
        sizes, channels, levels = config.hidden_sizes, config.num_channels, range(len(config.hidden_sizes))
        scales, down = range(config.num_scales), list(reversed(levels))
        self.inputs = nn.ModuleList(nn.Conv2d(channels, sizes[i], 3, padding=1) for i in scales)
        self.fuse = nn.ModuleList(widths.cross(i, sizes[i], sizes[i]) for i in scales if self.later)
        self.encoders, self.crosses, self.downs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        below = sizes[0]
        for i in levels:
            self.encoders.append(Trunk(widths, i, below + (sizes[i] if i in scales else 0)))
            if self.later:
                self.crosses.append(widths.cross(i, sizes[i], sizes[i]))
            (below,) = widths.take("down_sizes", sizes[i])
            self.downs.append(nn.Conv2d(sizes[i], below, 4, 2, 1))
        self.bottom = nn.ModuleList()
        for _ in range(config.num_bottlenecks):
            self.bottom.append(Trunk(widths, levels[-1], below, dense=True))
            below = sizes[-1]
        self.gather, self.skips = nn.ModuleList(), nn.ModuleList()
        above = below
        for i in down:
            self.gather.append(gather := Gather(widths, i))
            self.skips.append(widths.cross(i, sum(gather.outputs), above, up=True))
            above = sizes[i]
        self.gather_skips, self.ups, self.decoders = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i in down:
            self.gather_skips.append(gather := Gather(widths, i))
            (up,) = widths.take("up_sizes", sizes[i])
            self.ups.append(nn.ConvTranspose2d(below, up, 2, 2))
            self.decoders.append(Trunk(widths, i, up + sum(gather.outputs)))
            below = sizes[i]
        last = stage == config.num_stages - 1
        self.heads = nn.ModuleList(
            nn.Conv2d(sizes[i], channels, 3, padding=1) if last else Attended(sizes[i], channels) for i in scales
        )

    def forward(
        self, pictures: Sequence[Tensor], before: "Maps | None", *, coarse: bool
    ) -> tuple[list[Tensor], "Maps"]:
        """The restored pictures, the finest first, and the maps; without `coarse` the last stage makes only that."""
        scaled = [to(picture) for to, picture in zip(self.inputs, pictures, strict=True)]
        if before is not None:
            scaled = [fuse(x, y)[0] for fuse, x, y in zip(self.fuse, scaled, before.attended, strict=True)]
        x, encoded = scaled[0], []
        for i, encoder in enumerate(self.encoders):
            x = encoder(torch.cat([x, scaled[i]], 1) if i < len(scaled) else x)
            if before is not None:
                x = self.crosses[i](x, before.encoded[i] + before.decoded[i])[0]
            encoded.append(x)
            x = self.downs[i](x)
        for block in self.bottom:
            x = block(x)
        y, skips = x, []
        for gather, cross in zip(self.gather, self.skips, strict=True):
            skip, y = cross(gather(encoded), y)
            skips.insert(0, skip)
        decoded: list[Tensor] = []
        for up, gather, decoder in zip(self.ups, self.gather_skips, self.decoders, strict=True):
            x = decoder(torch.cat([up(x), gather(skips)], 1))
            decoded.insert(0, x)
        images, attended = [], []
        for head, x, picture in zip(self.heads, decoded, pictures, strict=False):
            if isinstance(head, Attended):
                image, kept = head(x, picture)
                attended.append(kept)
            elif coarse or not images:
                image = head(x) + picture
            else:
                break
            images.append(image)
        return images, Maps(encoded, decoded, attended)


class Maps:
    """What a stage leaves to the next, the finest level first."""

    def __init__(self, encoded: list[Tensor], decoded: list[Tensor], attended: list[Tensor]) -> None:
        self.encoded, self.decoded, self.attended = encoded, decoded, attended
