"""Example inputs for stock models, by the name of the input they start from."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import LayoutError

BATCH = 2
LENGTH = 7
IMAGE = 64
"""Side of the image for models whose config names none."""


def example(module: nn.Module, *, device: str = "meta", seed: int = 0) -> dict[str, Any]:
    """The keyword arguments of one forward pass: batch 2, sequence 7, images and windows as the config says.

    Raises:
        LayoutError: the model starts from an input that has no maker here.
    """
    config: Any = module.config
    name = str(getattr(module, "main_input_name", "input_ids"))
    takes = inspect.signature(module.forward).parameters
    wanted = [name]
    if "pixel_values" in takes and name == "input_ids" and _two_towers(config):
        wanted.append("pixel_values")
    if "decoder_input_ids" in takes and getattr(config, "is_encoder_decoder", False):
        wanted.append("decoder_input_ids")
    needed = [n for n, p in takes.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    wanted += [n for n in needed if n not in wanted]
    unknown = [w for w in wanted if w not in MAKERS]
    if unknown:
        verb = "starts from" if unknown[0] == name else "needs"
        raise LayoutError(
            f"{type(module).__name__} {verb} '{unknown[0]}', for which no example is known; "
            f"known are {', '.join(MAKERS)}; use penjing.layouts.from_module with an example of yours"
        )
    generator = torch.Generator().manual_seed(seed)
    out: dict[str, Any] = {w: MAKERS[w](config, generator).to(device) for w in wanted}
    fixed = {"use_cache": False, "return_dict": True, "interpolate_pos_encoding": False, "output_hidden_states": False}
    out |= {k: v for k, v in fixed.items() if k in takes}
    return out


def _two_towers(config: Any) -> bool:
    token = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
    return hasattr(config, "vision_config") and hasattr(config, "text_config") and token is None


def _tokens(config: Any, generator: torch.Generator) -> Tensor:
    text = getattr(config, "text_config", config)
    count = int(getattr(text, "vocab_size", 0) or getattr(config, "vocab_size", 0) or 2)
    return torch.randint(count, (BATCH, LENGTH), generator=generator)


def _image(config: Any, generator: torch.Generator) -> Tensor:
    vision = getattr(config, "vision_config", config)
    side = getattr(vision, "image_size", None) or IMAGE
    height, width = (side, side) if isinstance(side, int) else (side[0], side[-1])
    channels = getattr(vision, "num_channels", None) or getattr(vision, "in_channels", None) or 3
    frames = getattr(config, "num_frames", None)
    several = (int(frames),) if isinstance(frames, int) else ()
    return torch.randn((BATCH, *several, int(channels), int(height), int(width)), generator=generator)


def _spectrum(config: Any, generator: torch.Generator) -> Tensor:
    bins = int(getattr(config, "num_mel_bins", 80))
    positions = getattr(config, "max_source_positions", None)
    length = 2 * int(positions) if positions else int(getattr(config, "max_length", 64))
    return torch.randn((BATCH, bins, length), generator=generator)


def _sound(config: Any, generator: torch.Generator) -> Tensor:
    if hasattr(config, "num_mel_bins"):
        return torch.randn((BATCH, int(config.max_length), int(config.num_mel_bins)), generator=generator)
    step, reach = 1, 1
    for kernel, stride in zip(getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()), strict=False):
        reach, step = reach + (kernel - 1) * step, step * stride
    return torch.randn((BATCH, reach + 9 * step), generator=generator)


def _series(config: Any, generator: torch.Generator) -> Tensor:
    channels = getattr(config, "num_input_channels", None) or getattr(config, "input_size", 1)
    return torch.randn((BATCH, int(config.context_length), int(channels)), generator=generator)


MAKERS: Mapping[str, Callable[[Any, torch.Generator], Tensor]] = {
    "input_ids": _tokens,
    "decoder_input_ids": _tokens,
    "inputs": _tokens,
    "pixel_values": _image,
    "input_features": _spectrum,
    "input_values": _sound,
    "past_values": _series,
}
"""How each kind of main input is made; decoder inputs are those of the text side."""
