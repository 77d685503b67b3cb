"""Dynamic spectrum mixer, a reconstruction: the spectrum of the map, weighted by what the input asks for.

A block takes the cosine transform of its map, multiplies it by weights made from the input, and transforms it back;
an MLP follows. `generator` says what makes the weights: `band` (the usual) one number a channel for each ring of
frequencies, from the mean of the map and the energies of the rings; `bank` a mixture of learnt spectra; `static` one
learnt spectrum; `none` no weights.

Source: Hu and Yu, "Dynamic Spectrum Mixer for Visual Recognition", arXiv:2309.06721. No code was released, and only
what the abstract says is certain: cosine transform, weights from the input that select bands, a hierarchical
backbone. **All else is our reconstruction**, its sizes too, so none of the paper's counts can be held to it. Weights
by frequency alone make filters that are symmetric in space; the depthwise convolution (`local`) makes others.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from penjing.core.architecture import Architecture
from penjing.layers.dct import dct, inverse, rings
from penjing.layers.drop_path import DropPath
from penjing.layers.staged import StagedForImageClassification


class Config(PreTrainedConfig):
    """The entries; lists have one value for each stage. `inner_sizes` is the width of the spectrum."""

    model_type = "dynamic_spectrum_mixer"

    image_size: int = 224
    num_channels: int = 3
    patch_size: int = 7
    patch_stride: int = 4
    hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    inner_sizes: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    depths: list[int] | tuple[int, ...] = (3, 4, 12, 3)
    intermediate_sizes: list[int] | tuple[int, ...] = (256, 512, 1024, 2048)
    generator: str = "band"
    rings: int = 8
    bank: int = 4
    local: bool = True
    layer_scale: float = 1e-5
    drop_path_rate: float = 0.0
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02

    def side(self, stage: int) -> int:
        """The side of the map in a stage, for an image of `image_size`."""
        return self.image_size // self.patch_stride // 2**stage


class FromZero(nn.Linear):
    """A layer whose weights begin at zero."""


class Band(nn.Module):
    """2 sigmoid(MLP(mean of the map, log energies of the rings)): a number for each channel and ring; 1 at first."""

    def __init__(self, size: int, inner: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.reduce = nn.Linear(size + count, max(1, size // 4))
        self.expand = FromZero(max(1, size // 4), inner * count)

    def forward(self, x: Tensor, spectrum: Tensor) -> Tensor:
        """Weights [batch C H W] of a spectrum of that shape; x [batch H W C] is what it was made from."""
        masks = rings(spectrum.shape[2], spectrum.shape[3], self.count, spectrum)
        inside = masks.flatten(1)
        power = spectrum.square().mean(1).flatten(1) @ (inside / inside.sum(1, keepdim=True).clamp(min=1)).T
        seen = torch.cat([x.mean((1, 2)), torch.log(1e-6 + power)], 1)
        each = 2 * torch.sigmoid(self.expand(nn.functional.gelu(self.reduce(seen))))
        return (each.unflatten(1, (-1, self.count)) @ inside).unflatten(2, tuple(spectrum.shape[2:]))


class Bank(nn.Module):
    """A mixture of learnt spectra, by weights from the mean of the map; resized where the map has another size."""

    def __init__(self, size: int, inner: int, side: int, count: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(size, max(1, size // 4))
        self.expand = nn.Linear(max(1, size // 4), inner * count)
        self.spectra = nn.Parameter(torch.empty(count, inner, side, side))

    def forward(self, x: Tensor, spectrum: Tensor) -> Tensor:
        """Weights [batch C H W] of a spectrum of that shape."""
        mixed = self.expand(nn.functional.gelu(self.reduce(x.mean((1, 2))))).unflatten(1, (len(self.spectra), -1))
        spectra = resized(self.spectra, spectrum)
        return torch.einsum("bgc,gchw->bchw", mixed.softmax(1), spectra)


class Static(nn.Module):
    """One learnt spectrum."""

    def __init__(self, inner: int, side: int) -> None:
        super().__init__()
        self.spectra = nn.Parameter(torch.empty(1, inner, side, side))

    def forward(self, x: Tensor, spectrum: Tensor) -> Tensor:
        """Weights [1 C H W]."""
        return resized(self.spectra, spectrum)


def resized(spectra: Tensor, like: Tensor) -> Tensor:
    """Learnt spectra for a map of another size, bilinear."""
    if spectra.shape[2:] == like.shape[2:]:
        return spectra
    return nn.functional.interpolate(spectra, tuple(like.shape[2:]), mode="bilinear", align_corners=False)


def generator_of(config: Config, stage: int) -> nn.Module | None:
    """What makes the weights of a stage's spectra; None for none.

    Raises:
        ValueError: there is no such generator.
    """
    size, inner, side = config.hidden_sizes[stage], config.inner_sizes[stage], config.side(stage)
    if config.generator == "band":
        return Band(size, inner, config.rings)
    if config.generator == "bank":
        return Bank(size, inner, side, config.bank)
    if config.generator == "static":
        return Static(inner, side)
    if config.generator == "none":
        return None
    raise ValueError(f"generator is '{config.generator}'; it is one of band, bank, static, none")


class Mixer(nn.Module):
    """leave(inverse(weights * dct(enter(x))) + local(enter(x))), x [batch H W C]."""

    def __init__(self, config: Config, stage: int) -> None:
        super().__init__()
        size, inner = config.hidden_sizes[stage], config.inner_sizes[stage]
        self.enter = nn.Linear(size, inner)
        self.weights = generator_of(config, stage)
        self.local = nn.Conv2d(inner, inner, 3, padding=1, groups=inner) if config.local else None
        self.leave = nn.Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """The map, [batch H W C]."""
        entered = self.enter(x).permute(0, 3, 1, 2)
        spectrum = dct(entered)
        if self.weights is not None:
            spectrum = spectrum * self.weights(x, spectrum)
        mixed = inverse(spectrum)
        if self.local is not None:
            mixed = mixed + self.local(entered)
        return self.leave(mixed.permute(0, 2, 3, 1))


class Block(nn.Module):
    """The mixer and an MLP, each scaled and added to the stream [batch H W C]."""

    def __init__(self, config: Config, stage: int, drop: float) -> None:
        super().__init__()
        size, wide, eps = config.hidden_sizes[stage], config.intermediate_sizes[stage], config.layer_norm_eps
        self.norm1, self.norm2 = nn.LayerNorm(size, eps=eps), nn.LayerNorm(size, eps=eps)
        self.mixer = Mixer(config, stage)
        self.up, self.act, self.down = nn.Linear(size, wide), nn.GELU(), nn.Linear(wide, size)
        self.scale1, self.scale2 = (nn.Parameter(torch.full((size,), config.layer_scale)) for _ in range(2))
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """The stream, [batch H W C]."""
        x = x + self.drop(self.scale1 * self.mixer(self.norm1(x)))
        return x + self.drop(self.scale2 * self.down(self.act(self.up(self.norm2(x)))))


class Stage(nn.Module):
    """A smaller map, and blocks: a convolution and a norm at first, then a norm and a convolution."""

    def __init__(self, config: Config, stage: int, rates: Sequence[float]) -> None:
        super().__init__()
        size, eps, step = config.hidden_sizes[stage], config.layer_norm_eps, config.patch_stride
        before = config.hidden_sizes[stage - 1] if stage else size
        self.first = stage == 0
        self.norm = nn.LayerNorm(before, eps=eps)
        kernel = config.patch_size
        self.reduce = (
            nn.Conv2d(before, size, 2, 2) if stage else nn.Conv2d(config.num_channels, size, kernel, step, kernel // 2)
        )
        self.blocks = nn.ModuleList(Block(config, stage, rate) for rate in rates)

    def forward(self, x: Tensor) -> Tensor:
        """From [batch C H W] to [batch C' H' W']."""
        if self.first:
            x = self.norm(self.reduce(x).permute(0, 2, 3, 1))
        else:
            x = self.reduce(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2)


class DynamicSpectrumMixerForImageClassification(StagedForImageClassification):
    """Pixels [batch channels height width] to logits [batch labels]."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, Stage)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, FromZero):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (Bank, Static)):
            nn.init.normal_(module.spectra, mean=1.0, std=0.02)
        elif isinstance(module, Block):
            nn.init.constant_(module.scale1, self.config.layer_scale)
            nn.init.constant_(module.scale2, self.config.layer_scale)
        else:
            super()._init_weights(module)


Model = DynamicSpectrumMixerForImageClassification


def _size(width: int, depths: list[int], drop: float) -> dict[str, Any]:
    sizes = [width * 2**i for i in range(4)]
    return {
        "hidden_sizes": sizes, "inner_sizes": sizes, "intermediate_sizes": [4 * size for size in sizes],
        "depths": depths, "drop_path_rate": drop, "num_labels": 1000,
    }  # fmt: skip


CARD = Architecture(
    title="Dynamic spectrum mixer (a reconstruction)",
    paper="arXiv:2309.06721",
    sizes={
        "t": _size(64, [3, 4, 12, 3], 0.1), "s": _size(64, [3, 6, 24, 3], 0.3), "b": _size(96, [3, 4, 24, 3], 0.4),
        "tiny": {
            "image_size": 12, "patch_size": 3, "patch_stride": 2, "hidden_sizes": [12, 20], "inner_sizes": [10, 14],
            "depths": [1, 2], "intermediate_sizes": [24, 28], "rings": 3, "layer_scale": 0.5, "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={"t": 21_611_096, "s": 31_756_952, "b": 69_927_184},
    licence="no code was released",
)  # fmt: skip
