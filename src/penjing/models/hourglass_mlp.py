"""A residual MLP between images whose stream is wider than the image, with narrow blocks on it.

Usually a residual MLP is narrow, widens within a block and comes back. Here the stream of `hidden_size` is the wide
part, each block goes through a narrower `intermediate_size`, and the projection that lifts the pixels to the stream may
stay as it was drawn. With `input_projection="none"` the stream is the pixels: the usual shape, which the paper compares
with.

Source: Chen et al., "Rethinking the shape convention of an MLP", arXiv:2510.01796. Layer norm, ReLU and the initial
values of the blocks are our choices. The paper names no sizes; ours say their shape, and are of images of 32 x 32. A
fixed projection is a buffer: it is not among the trained parameters, which the paper counts, but its multiply-adds are
counted. It is stored with the weights, so that a cut of the stream cuts it; `projection_seed` is of a fresh model.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import ImageSuperResolutionOutput

from penjing.core.architecture import Architecture

PROJECTIONS = ("fixed", "structured", "trained", "none")


class Config(PreTrainedConfig):
    """The entries; `intermediate_size` is one width for all blocks, or a list with one for each.

    `input_projection` is "fixed" (drawn from a normal of variance 1 / inputs), "structured" (a Hadamard matrix with
    random signs, of the same scale), "trained" or "none". `centre` is taken from the pixels and given back at the end.
    """

    model_type = "hourglass_mlp"

    image_size: int = 32
    num_channels: int = 3
    output_image_size: int | None = None
    hidden_size: int = 3546
    num_hidden_layers: int = 4
    intermediate_size: int | list[int] = 1560
    hidden_act: str = "relu"
    norm: str = "layer"
    input_projection: str = "fixed"
    output_projection: bool = True
    projection_seed: int = 0
    zero_init: bool = False
    centre: float = 0.0
    layer_norm_eps: float = 1e-5

    def inputs(self) -> int:
        """How many pixel values come in."""
        return self.num_channels * self.image_size**2

    def outputs(self) -> int:
        """How many pixel values go out."""
        return self.num_channels * (self.output_image_size or self.image_size) ** 2

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

    def check(self) -> None:
        """Refuse entries that contradict each other.

        Raises:
            ValueError: a projection is unknown, or one is missing between two different sizes.
        """
        if self.input_projection not in PROJECTIONS:
            raise ValueError(f"input_projection is '{self.input_projection}'; needed one of {', '.join(PROJECTIONS)}")
        if self.norm not in NORMS:
            raise ValueError(f"norm is '{self.norm}'; needed one of {', '.join(NORMS)}")
        if self.input_projection == "none" and self.hidden_size != self.inputs():
            raise ValueError(
                f"without input_projection the stream is the pixels, {self.inputs()} wide, and hidden_size is "
                f"{self.hidden_size}; set hidden_size to {self.inputs()}"
            )
        if not self.output_projection and self.hidden_size != self.outputs():
            raise ValueError(
                f"without output_projection the stream is what comes out, {self.outputs()} wide, and hidden_size is "
                f"{self.hidden_size}; set output_projection to true"
            )


class Fixed(nn.Module):
    """A linear map without bias that no gradient reaches, [... inputs] to [... outputs]."""

    weight: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """The projected x."""
        return nn.functional.linear(x, self.weight)


class Block(nn.Module):
    """x + down(act(up(norm(x)))), x [... hidden]."""

    def __init__(self, config: Config, width: int) -> None:
        super().__init__()
        self.norm = NORMS[config.norm](config.hidden_size, config.layer_norm_eps)
        self.up = nn.Linear(config.hidden_size, width)
        self.act = ACT2FN[config.hidden_act]
        self.down = nn.Linear(width, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, [... hidden]."""
        return x + self.down(self.act(self.up(self.norm(x))))


NORMS = {
    "layer": lambda width, eps: nn.LayerNorm(width, eps=eps),
    "rms": lambda width, eps: nn.RMSNorm(width, eps=eps),
    "none": lambda _width, _eps: nn.Identity(),
}


def drawn(outputs: int, inputs: int, seed: int) -> Tensor:
    """[outputs inputs]: normal of variance 1 / inputs, which keeps the norm of what comes in on average."""
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed)) / inputs**0.5


def signed_hadamard(outputs: int, inputs: int, seed: int) -> Tensor:
    """[outputs inputs]: rows of a Hadamard matrix whose columns have random signs, every entry +-1 / sqrt(inputs).

    Rows are those of the smallest power of two that holds both sizes, in a random order.
    """
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.ones(1, 1)
    while len(matrix) < max(outputs, inputs):
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)))
    rows = torch.randperm(len(matrix), generator=generator)[:outputs]
    signs = torch.randint(2, (inputs,), generator=generator) * 2.0 - 1
    return matrix[rows, :inputs] * signs / inputs**0.5


class HourglassMLPForImageToImage(PreTrainedModel):
    """Pixels [batch channels side side] to pixels [batch channels output_side output_side]."""

    config_class = Config
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Block"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        config.check()
        inputs, width = config.inputs(), config.hidden_size
        if config.input_projection == "none":
            self.inputs = nn.Identity()
        elif config.input_projection == "trained":
            self.inputs = nn.Linear(inputs, width, bias=False)
        else:
            self.inputs = Fixed(inputs, width)
        self.blocks = nn.ModuleList(Block(config, each) for each in config.widths())
        self.outputs = nn.Linear(width, config.outputs()) if config.output_projection else nn.Identity()
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if module is self.inputs and isinstance(module, (Fixed, nn.Linear)):
            draw = signed_hadamard if self.config.input_projection == "structured" else drawn
            rows, columns = module.weight.shape
            module.weight.copy_(draw(rows, columns, self.config.projection_seed))
        elif isinstance(module, nn.Linear):
            module.reset_parameters()
            if self.config.zero_init and any(module is block.down for block in self.blocks):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageSuperResolutionOutput:
        """The image, and with `labels` (the wanted image) the mean squared error."""
        x = self.inputs(pixel_values.flatten(1) - self.config.centre)
        for block in self.blocks:
            x = block(x)
        side = self.config.output_image_size or self.config.image_size
        image = (self.outputs(x) + self.config.centre).unflatten(1, (self.config.num_channels, side, side))
        loss = None if labels is None else nn.functional.mse_loss(image, labels)
        return ImageSuperResolutionOutput(loss=loss, reconstruction=image)


Model = HourglassMLPForImageToImage


def _size(hidden: int, inner: int | list[int], blocks: int, **more: Any) -> dict[str, Any]:
    return {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": blocks, **more}


CARD = Architecture(
    title="Hourglass MLP",
    paper="arXiv:2510.01796",
    sizes={
        "hourglass-3546-1560-4": _size(3546, 1560, 4),
        "hourglass-3546-270-5": _size(3546, 270, 5),
        "conventional-3072-3075-2": _size(3072, 3075, 2, input_projection="none", output_projection=False),
        "conventional-3072-3075-2-out": _size(3072, 3075, 2, input_projection="none"),
        "tiny": _size(40, [6, 9, 4], 3, image_size=5, num_channels=1),
    },
    auto=("AutoModelForImageToImage",),
    parameters={
        "hourglass-3546-1560-4": 55_199_256, "hourglass-3546-270-5": 20_525_124,
        "conventional-3072-3075-2": 37_810_182, "conventional-3072-3075-2-out": 47_250_438,
    },
    macs={
        "hourglass-3546-1560-4": 8 * 3546 * 1560 + 2 * 3546 * 3072,
        "hourglass-3546-270-5": 10 * 3546 * 270 + 2 * 3546 * 3072,
        "conventional-3072-3075-2": 4 * 3072 * 3075,
        "conventional-3072-3075-2-out": 4 * 3072 * 3075 + 3072**2,
    },
)  # fmt: skip
