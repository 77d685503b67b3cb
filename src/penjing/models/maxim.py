"""A U-shaped network that restores pictures of any size by gated MLPs along two axes of the map, in stages.

Each stage sees the picture and what the stage before made of it, and each gives a picture; coarse ones too, of which
only training makes use. Sides must be multiples of `Config.multiple`; `penjing restore` pads and crops.

Source: Tu et al., "MAXIM: Multi-Axis MLP for Image Processing", arXiv:2201.02973, and the authors' code, whose norms,
paddings and resizing are followed, for what the paper leaves open. The loss is Charbonnier's and a tenth of the
difference of the spectra, as the paper has it. The multiply-adds are our own count, of a picture of 256 x 256 without
the coarse pictures of the last stage; the authors print 2.2 times as much, by a compiler that counts all work twice.
"""

import re
from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageSuperResolutionOutput

from penjing.core.architecture import Architecture
from penjing.errors import CheckpointError
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


def from_released(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """The authors' weights under the names of this model; `state` has their names with "/" between parts.

    Their files are archives of numpy's: `{k: torch.from_numpy(v) for k, v in numpy.load(file).items()}`. The parts
    "opt/target/" or "params/" in front are left away. Kernels [... in out] become [out in ...], those of transposed
    convolutions are turned by half a circle, and what they project jointly is split into its halves.

    Raises:
        CheckpointError: a key is missing, of another shape, or left over; the first one is named.
    """
    with torch.device("meta"):
        model = MaximForImageToImage(config)
    given = {re.sub(r"^(opt/target|params)/", "", key): value for key, value in state.items()}
    out: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.LayerNorm)):
            continue
        theirs, half = released_name(name, config)
        for kind in ("weight", "bias"):
            own = "bias" if kind == "bias" else "scale" if isinstance(module, nn.LayerNorm) else "kernel"
            out[f"{name}.{kind}"] = _of(given, f"{theirs}/{own}", half, module, getattr(module, kind).shape)
    used = {f"{released_name(name.rpartition('.')[0], config)[0]}" for name in out}
    left = sorted(key for key in given if key.rpartition("/")[0] not in used)
    if left:
        raise CheckpointError(f"'{left[0]}' has no place in MAXIM of this size; take the config of these weights")
    return out


def _of(given: Mapping[str, Tensor], key: str, half: int | None, module: nn.Module, shape: Sequence[int]) -> Tensor:
    value = given.get(key)
    if value is not None and half is not None and value.shape[-1] % 2 == 0:
        value = value.chunk(2, -1)[half]
    if value is not None and value.ndim > 1:
        if isinstance(module, nn.ConvTranspose2d):
            value = value.flip(0, 1).permute(2, 3, 0, 1)
        else:
            value = value.movedim((-1, -2), (0, 1))
    if value is None or tuple(value.shape) != tuple(shape):
        what = "is missing" if value is None else f"gives the shape {tuple(value.shape)}"
        raise CheckpointError(
            f"'{key}' {what}; MAXIM of this size needs {tuple(shape)}: take the config of these weights"
        )
    return value.contiguous()


def released_name(name: str, config: Config) -> tuple[str, int | None]:
    """The authors' name of a module of this model, and which half of it this is (0, 1), None for all."""
    levels = len(config.hidden_sizes)
    _, stage, part, rest = name.split(".", 3)
    index, _, inner = rest.partition(".")
    i, front, up = int(index), f"stage_{stage}_", levels - 1 - int(index)
    if part in ("gather", "gather_skips"):
        # Numbered through all stages, by level from the coarsest, then by the map; skips come from the coarsest.
        each = int(inner.rpartition(".")[2])
        each = each if part == "gather" else levels - 1 - each
        number = (2 * int(stage) + (part == "gather_skips")) * levels**2 + i * levels + each
        return f"UpSampleRatio_{number}/Conv_0", None
    places = {
        "inputs": f"input_conv_{i}", "fuse": f"input_fuse_sam_{i}", "encoders": f"encoder_block_{i}",
        "crosses": f"encoder_block_{i}/cross_gating_block", "downs": f"encoder_block_{i}/Conv_1",
        "bottom": f"global_block_{i}", "skips": f"cross_gating_block_{up}",
        "ups": f"decoder_block_{up}/ConvTranspose_0",
        "decoders": f"decoder_block_{up}/UNetEncoderBlock_0",
        "heads": f"supervised_attention_module_{i}" if inner else f"output_conv_{i}",
    }  # fmt: skip
    tail, half = _inside(inner, part == "bottom")
    return front + places[part] + tail, half


def _inside(name: str, dense: bool) -> tuple[str, int | None]:
    """The rest of a released name, within an encoder, a cross gate or a head."""
    if not name:
        return "", None
    if found := re.fullmatch(r"groups\.(\d+)\.(\d)\.(.+)", name):
        group, second, inner = found.groups()
        if second == "0":
            front = f"/SplitHeadMultiAxisGmlpLayer_{group}/"
            if found := re.fullmatch(r"axes\.(\d)\.(.+)", inner):
                own = ("Grid", "Block")[int(found[1])]
                tail = {
                    "norm": ("LayerNorm", None), "gate": ("in_project", 0), "value": ("in_project", 1),
                    "value_norm": (f"{own}GatingUnit/intermediate_layernorm", None),
                    "mix.weights": (f"{own}GatingUnit/Dense_0", None), "out": ("out_project", None),
                }[found[2]]  # fmt: skip
                return f"{front}{own}GmlpLayer/{tail[0]}", tail[1]
            return front + _PROJECTED[inner][0], _PROJECTED[inner][1]
        front = f"/channel_attention_block_1{'_' if dense else ''}{group}/"
        return front + _ATTENDED[inner], None
    if found := re.fullmatch(r"gate_([xy])\.(.+)", name):
        tail, half = _PROJECTED[found[2]]
        return f"/SplitHeadMultiAxisGating_{found[1]}/{tail}", half
    return f"/{'input_proj' if dense else _OTHER[name]}", None


_PROJECTED: dict[str, tuple[str, int | None]] = {
    "norm": ("LayerNorm_in", None), "inputs.0": ("in_project", 0), "inputs.1": ("in_project", 1),
    "out": ("out_project", None), "mixes.0.weights": ("Dense_0", None), "mixes.1.weights": ("Dense_1", None),
}  # fmt: skip
_ATTENDED = {
    "norm": "LayerNorm", "conv1": "conv1", "conv2": "conv2", "up": "channel_mixing/Dense_0",
    "down": "channel_mixing/Dense_1", "attention.down": "channel_attention/Conv_0",
    "attention.up": "channel_attention/Conv_1",
}  # fmt: skip
_OTHER = {
    "inputs": "Conv_0", "up": "ConvTranspose_0", "to_x": "Conv_0", "to_y": "Conv_1",
    "norm_x": "LayerNorm_x", "norm_y": "LayerNorm_y",
    "in_x": "in_project_x", "in_y": "in_project_y",
    "out_x": "out_project_x", "out_y": "out_project_y",
    "features": "Conv_0", "image": "Conv_1", "attention": "Conv_2",
}  # fmt: skip


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
    macs={"1S": 41_159_305_216, "2S": 96_620_138_496, "3S": 152_080_971_776},
    weights="storage of github.com/google-research/maxim, by task; `from_released` renames them",
    licence="Apache-2.0",
)  # fmt: skip
