"""A block behind which the stream goes through a matrix, into the basis of the next block.

It stands in for a whole block, is a copy of it, and has one tensor more: what the block gives first, x, becomes
x @ bridge.T. The edit `Bridge` puts it there.
"""

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from penjing.core.modules import Place
from penjing.errors import CheckpointError, PlanError

AXES: dict[str, tuple[str, int]] = {}
TENSOR = "bridge"
PARTS = True
"""The stream has another basis on either side, and is another axis there."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A tensor of the block and its dimension that is as long as the stream is wide, "input_layernorm.weight:0"."""

    like: str

    def __post_init__(self) -> None:
        name, _, dim = self.like.rpartition(":") if isinstance(self.like, str) else ("", "", "")
        if not name or not dim.isdecimal():
            raise PlanError(f"a bridge is as wide as {str(self.like)[:60]!r}; 'input_layernorm.weight:0' is one")

    @property
    def place(self) -> tuple[str, int]:
        """(the tensor, its dimension)."""
        name, _, dim = self.like.rpartition(":")
        return name, int(dim)


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """None that a plan brings by itself.

    Raises:
        PlanError: always: it takes a basis for each block.
    """
    raise PlanError(f"{old.path} gets a bridge by rotating the stream in each block; a plan says so with 'bridge'")


@lru_cache(maxsize=64)
def _bridged(kind: Any) -> Any:
    """The class of a block, with the matrix behind it."""

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = kind.forward(self, *args, **kwargs)
        if isinstance(found, tuple):
            return (F.linear(found[0], self.bridge), *found[1:])
        return F.linear(found, self.bridge)

    return type(kind.__name__, (kind,), {"__module__": kind.__module__, "forward": forward})


def build(old: nn.Module, settings: Settings) -> nn.Module:
    """A copy of the block whose parts are the same, with a bridge that changes nothing yet.

    Raises:
        CheckpointError: the block has no such tensor, or has a bridge already.
    """
    name, dim = settings.place
    like = old.state_dict(keep_vars=True).get(name)
    if like is None or like.dim() <= dim or TENSOR in old._parameters:
        raise CheckpointError(f"a {type(old).__name__} has no place for a bridge as wide as {settings.like}")
    new = copy.copy(old)
    new._parameters, new._buffers, new._modules = dict(old._parameters), dict(old._buffers), dict(old._modules)
    new.__class__ = _bridged(type(old))
    new.register_parameter(TENSOR, nn.Parameter(torch.eye(like.shape[dim], dtype=like.dtype, device=like.device)))
    return new
