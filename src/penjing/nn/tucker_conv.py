"""A convolution as three: one by one onto fewer inputs, the window between few channels, one by one onto all outputs.

It stands in for a convolution without groups. The window keeps its stride, padding and dilation; a projection of
channels at each place commutes with all of them, so that with all channels the function is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core.modules import Place
from penjing.errors import PlanError

AXES = {"into": ("first.weight", 0), "out": ("core.weight", 0)}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many channels go into the window and come out of it."""

    into: int
    out: int

    def __post_init__(self) -> None:
        for rank in (self.into, self.out):
            if type(rank) is not int or rank < 1:
                raise PlanError(f"a convolution between projections has {rank!r} channels; a whole number was needed")


class TuckerConv(nn.Module):
    """last(core(first(x))); `last` has the bias of the old module, if it had one."""

    def __init__(self, first: nn.Module, core: nn.Module, last: nn.Module) -> None:
        """Take the three convolutions."""
        super().__init__()
        self.first, self.core, self.last = first, core, last

    def forward(self, x: Tensor) -> Tensor:
        """What the old module gave, nearly."""
        return self.last(self.core(self.first(x)))

    @property
    def weight(self) -> Tensor:
        """The kernel, for stock code that looks at a layer's weight; it is made anew each time."""
        return _kernel(*(p.get_parameter("weight") for p in (self.first, self.core, self.last)))

    @property
    def bias(self) -> Tensor | None:
        """That of the old module."""
        return self.last.bias if isinstance(self.last.bias, Tensor) else None


def _kernel(first: Tensor, core: Tensor, last: Tensor) -> Tensor:
    """[out in *window]: what three kernels convolve by."""
    made = torch.einsum("or,rsw,si->oiw", last.flatten(1), core.flatten(2), first.flatten(1))
    return made.reshape(len(last), first.shape[1], *core.shape[2:])


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """Name -> dimensions, made <- read.

    Raises:
        PlanError: the old weight is no kernel of a convolution.
    """
    del settings
    made, read = old.matrix()
    dims = len(old.shapes["weight"])
    if made != (0,) or dims < 3:
        raise PlanError(f"{old.path}.weight is no kernel [out in window]; a convolution was needed")
    ones, window = " 1" * (dims - 2), " ".join(f"weight:{d}" for d in read if d > 1)
    out = {
        "first.weight": f"into <- weight:1{ones}", "core.weight": f"out <- into {window}",
        "last.weight": f"weight:0 <- out{ones}",
    }  # fmt: skip
    return out | ({"last.bias": "bias:0"} if "bias" in old.shapes else {})


def build(old: nn.Module, settings: Settings) -> TuckerConv:
    """The module for the place of a convolution, on its device and in its dtype.

    Raises:
        PlanError: the old module is of another kind, or has groups.
    """
    kind: Any = type(old)
    plain = next((k for k in (nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(old, k)), None)
    if plain is None or kind.forward is not plain.forward:
        raise PlanError(f"a {kind.__name__} is no plain convolution (it may pad by itself); protect it")
    conv: Any = old
    if conv.groups != 1:
        raise PlanError(f"a convolution in {conv.groups} groups is not the same as three without; protect it")
    with torch.device(conv.weight.device):
        new = TuckerConv(
            plain(conv.in_channels, settings.into, 1, bias=False),
            plain(
                settings.into, settings.out, conv.kernel_size, stride=conv.stride, padding=conv.padding,
                dilation=conv.dilation, padding_mode=conv.padding_mode, bias=False,
            ),
            plain(settings.out, conv.out_channels, 1, bias=conv.bias is not None),
        )  # fmt: skip
    for name in ("stride", "padding", "dilation", "kernel_size", "groups"):  # stock code may pad by them
        setattr(new, name, getattr(conv, name))
    return new.to(conv.weight.dtype)


def dense(old: nn.Module, settings: Settings, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the stock convolution that convolves as these do; what is made is float32."""
    del old, settings
    kernels = [tensors[f"{n}.weight"].double() for n in ("first", "core", "last")]
    out = {"weight": _kernel(*kernels).float().contiguous()}
    return {**out, "bias": tensors["last.bias"]} if "last.bias" in tensors else out
