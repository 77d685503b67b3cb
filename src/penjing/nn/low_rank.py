"""A matrix as the product of two thinner ones: W x + b becomes up (down x) + b.

It stands in for torch's linear layer, for the one of GPT-2 that keeps its matrix the other way round, and for a
convolution without groups: the kernel stays in `down`, and `up` is one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core.modules import Place
from penjing.errors import PlanError

AXES = {"rank": ("down.weight", 0)}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many units lie between the two matrices."""

    rank: int

    def __post_init__(self) -> None:
        if type(self.rank) is not int or self.rank < 1:
            raise PlanError(f"a module of low rank has rank {self.rank!r}; a whole number from 1 was needed")


class LowRank(nn.Module):
    """up(down(x)): `down` [rank in] without a bias, `up` [out rank] with the bias of the old module, if it had one."""

    def __init__(self, down: nn.Module, up: nn.Module, *, transposed: bool = False) -> None:
        """Take the two factors, and whether the old matrix was [in out]."""
        super().__init__()
        self.down, self.up, self.transposed = down, up, transposed

    def forward(self, x: Tensor) -> Tensor:
        """What the old module gave, nearly."""
        return self.up(self.down(x))

    @property
    def weight(self) -> Tensor:
        """The product, for stock code that looks at a layer's weight; it is made anew each time."""
        up, down = self.up.get_parameter("weight"), self.down.get_parameter("weight")
        product = (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:])
        return product.T if self.transposed else product

    @property
    def bias(self) -> Tensor | None:
        """That of the old module."""
        return self.up.bias if isinstance(self.up.bias, Tensor) else None


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """Name -> dimensions, made <- read.

    Raises:
        PlanError: the old weight is no matrix that makes one dimension.
    """
    del settings
    made, read = old.matrix()
    if len(made) != 1:
        raise PlanError(f"{old.path}.weight makes {len(made)} dimensions; a matrix that makes one was needed")
    shape = old.shapes["weight"]
    ones = " 1" * (len(shape) - 2)
    out = {
        "down.weight": "rank <- " + " ".join(f"weight:{d}" for d in read),
        "up.weight": f"weight:{made[0]} <- rank{ones}",
    }
    return out | ({"up.bias": "bias:0"} if "bias" in old.shapes else {})


def build(old: nn.Module, settings: Settings) -> LowRank:
    """The module for the place of a linear layer or a convolution, on its device and in its dtype.

    Raises:
        PlanError: the old module is of another kind.
    """
    weight, kind = getattr(old, "weight", None), type(old)
    plain = next((k for k in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(old, k)), None)
    turned = plain is None and isinstance(weight, Tensor) and weight.dim() == 2 and _transposed(old)
    if not isinstance(weight, Tensor) or not (turned or (plain is not None and kind.forward is plain.forward)):
        raise PlanError(
            f"a {kind.__name__} does more than multiply by its weight, so two factors cannot stand in for it; protect "
            "it, and name linear layers and convolutions"
        )
    bias, rank = getattr(old, "bias", None) is not None, settings.rank
    with torch.device(weight.device):
        if plain is not None and plain is not nn.Linear:
            return _convolution(old, rank, bias).to(weight.dtype)
        out, into = tuple(weight.shape)[::-1] if turned else weight.shape
        down, up = nn.Linear(into, rank, bias=False), nn.Linear(rank, out, bias=bias)
        return LowRank(down, up, transposed=turned).to(weight.dtype)


def dense(old: nn.Module, settings: Settings, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the stock layer `old` that multiply as these do; what is made is float32."""
    del settings
    up, down = tensors["up.weight"].double(), tensors["down.weight"].double()
    made = (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:]).float()
    turned = not isinstance(old, nn.Linear) and _transposed(old)
    out = {"weight": (made.T if turned else made).contiguous()}
    return {**out, "bias": tensors["up.bias"]} if "up.bias" in tensors else out


def _transposed(old: Any) -> bool:
    """Whether a module keeps its matrix as [in out], as those of GPT-2 do: `nf` counts what comes out."""
    return getattr(old, "nf", None) == old.weight.shape[1]


def _convolution(old: Any, rank: int, bias: bool) -> LowRank:
    if old.groups != 1:
        raise PlanError(f"a convolution in {old.groups} groups has no two factors; protect it")
    kind = type(old)
    down = kind(
        old.in_channels, rank, old.kernel_size, stride=old.stride, padding=old.padding, dilation=old.dilation,
        padding_mode=old.padding_mode, bias=False,
    )  # fmt: skip
    out = LowRank(down, kind(rank, old.out_channels, 1, bias=bias))
    for name in ("stride", "padding", "dilation", "kernel_size", "groups"):  # stock code may pad by them
        setattr(out, name, getattr(old, name))
    return out

