"""A U-shaped network that restores pictures of any size by gated MLPs along two axes of the map, in stages.

Each stage sees the picture and what the stage before made of it, and each gives a picture; coarse ones too, of which
only training makes use. Sides must be multiples of `Config.multiple`; `penjing restore` pads and crops.

Source: Tu et al., "MAXIM: Multi-Axis MLP for Image Processing", arXiv:2201.02973, and the authors' code, whose norms,
paddings and resizing are followed, for what the paper leaves open. The loss is Charbonnier's and a tenth of the
difference of the spectra, as the paper has it. The multiply-adds are our own count, of a picture of 256 x 256 without
the coarse pictures of the last stage; the authors print 2.2 times as much, by a compiler that counts all work twice.
"""

from math import lcm
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageSuperResolutionOutput

from penjing.core.architecture import Architecture
from penjing.layers.u_stage import Stage, Widths


class Config(PreTrainedConfig):
    """The entries; `hidden_sizes`, `grid_sides` and `block_sides` have one value for each level of the U.

    The other lists have the inner widths of modules in the order in which these are made; None gives the paper's, and
    the model writes them out: `branch_sizes` and `gated_sizes` of a multi-axis block (grid, block; a branch of 0 is
    left out), `conv_sizes` between two convolutions, `mlp_sizes` of the bottom, `squeeze_sizes` of channel attention,
    `cross_sizes` (x, y) and `gate_sizes` (grid and block of x, then of y) of a cross gate, `gather_sizes` of each map
    that is resized to another level, `down_sizes` and `up_sizes` of the convolutions between levels.
    """

    model_type = "maxim"

    image_size: int = 256
    num_channels: int = 3
    hidden_sizes: list[int] | tuple[int, ...] = (32, 64, 128)
    grid_sides: list[int] | tuple[int, ...] = (16, 16, 8)
    block_sides: list[int] | tuple[int, ...] = (16, 16, 8)
    num_stages: int = 3
    num_groups: int = 2
    num_bottlenecks: int = 2
    num_scales: int = 3
    branch_sizes: list[int] | None = None
    gated_sizes: list[int] | None = None
    conv_sizes: list[int] | None = None
    mlp_sizes: list[int] | None = None
    squeeze_sizes: list[int] | None = None
    cross_sizes: list[int] | None = None
    gate_sizes: list[int] | None = None
    gather_sizes: list[int] | None = None
    down_sizes: list[int] | None = None
    up_sizes: list[int] | None = None
    initializer_range: float = 0.02

    @property
    def multiple(self) -> int:
        """The sides of a picture must be multiples of this."""
        last = len(self.hidden_sizes) - 1
        sides = [(i, s) for of in (self.grid_sides, self.block_sides) for i, s in enumerate(of)]
        sides += [(last + 1, of[last]) for of in (self.grid_sides, self.block_sides)]
        return lcm(*(side * 2**level for level, side in sides))


class MaximForImageToImage(PreTrainedModel):
    """Pictures [batch channels height width] in 0 to 1, to restored ones of the same size."""

    config_class = Config
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Trunk", "CrossGate"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if not 1 <= config.num_scales <= len(config.hidden_sizes):
            raise ValueError(f"num_scales is {config.num_scales}; needed 1 to {len(config.hidden_sizes)}, the levels")
        widths = Widths(config)
        self.stages = nn.ModuleList(Stage(widths, i) for i in range(config.num_stages))
        widths.settle()
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=self.config.initializer_range)
            nn.init.constant_(module.bias, float(getattr(module, "bias_start", 0.0)))
        elif isinstance(module, (nn.LayerNorm, nn.Conv2d, nn.ConvTranspose2d)):
            module.reset_parameters()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageSuperResolutionOutput:
        """The restored pictures, and with `labels` [batch channels height width] the loss over stages and scales.

        Raises:
            ValueError: a side is no multiple of what the grids and blocks need.
        """
        pictures = _scales(pixel_values, self.config.num_scales)
        before, every = None, []
        for stage in self.stages:
            images, before = stage(pictures, before, coarse=labels is not None)
            every.append(images)
        loss = None
        if labels is not None:
            wanted = _scales(labels, self.config.num_scales)
            pairs = [pair for images in every for pair in zip(images, wanted, strict=True)]
            loss = torch.stack([difference(image, right) for image, right in pairs]).sum()
        return ImageSuperResolutionOutput(loss=loss, reconstruction=every[-1][0])


def _scales(picture: Tensor, count: int) -> list[Tensor]:
    """The picture with sides divided by 1, 2, 4 ...: of each square the place below and right of its middle."""
    return [picture[..., 2**i // 2 :: 2**i, 2**i // 2 :: 2**i] for i in range(count)]


def difference(image: Tensor, wanted: Tensor) -> Tensor:
    """Charbonnier's difference of two pictures [batch channels height width], and 0.1 of that of their spectra."""
    spectra = torch.view_as_real(torch.fft.fft2(image) - torch.fft.fft2(wanted))
    return ((image - wanted).square() + 1e-6).sqrt().mean() + 0.1 * spectra.abs().mean()


Model = MaximForImageToImage


def _size(width: int, stages: int, scales: int = 3) -> dict[str, Any]:
    return {"hidden_sizes": [width, 2 * width, 4 * width], "num_stages": stages, "num_scales": scales}


CARD = Architecture(
    title="MAXIM",
    paper="arXiv:2201.02973",
    sizes={
        "1S": _size(32, 1), "2S": _size(32, 2), "3S": _size(32, 3), "1M": _size(64, 1), "2M": _size(64, 2),
        "3M": _size(64, 3), "1S-one-scale": _size(32, 1, 1), "2S-one-scale": _size(32, 2, 1),
        "3S-one-scale": _size(32, 3, 1), "1M-one-scale": _size(64, 1, 1), "2M-one-scale": _size(64, 2, 1),
        "3M-one-scale": _size(64, 3, 1),
        "tiny": {
            "image_size": 4, "hidden_sizes": [6], "grid_sides": [2], "block_sides": [2], "num_stages": 1,
            "num_groups": 1, "num_bottlenecks": 1, "num_scales": 1,
        },
    },
    auto=("AutoModelForImageToImage",),
    parameters={
        "1S": 6_139_561, "2S": 14_176_178, "3S": 22_212_795, "1M": 19_464_265, "2M": 43_227_986, "3M": 66_991_707,
        "1S-one-scale": 6_108_515, "2S-one-scale": 13_353_830, "3S-one-scale": 20_599_145,
        "1M-one-scale": 19_361_219, "2M-one-scale": 40_839_110, "3M-one-scale": 62_317_001,
    },
    weights="storage of github.com/google-research/maxim, by task",
    licence="Apache-2.0",
)  # fmt: skip
