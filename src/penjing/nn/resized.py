"""A layer of torch's own kinds with other sizes: what no entry of a config can say of it stands here.

It stands in for a linear layer, a convolution, a norm, or for any module with parameters of its own, and is a copy of
it: what it computes is what the old one would, had it been built with these sizes.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from penjing.core.modules import Place
from penjing.core.spec import Spec
from penjing.errors import CheckpointError, PlanError

AXES: dict[str, tuple[str, int]] = {}
_SHAPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=([1-9][0-9]*|_)(x([1-9][0-9]*|_))*")
Shape = tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The shapes of its own tensors, "weight=24x_ bias=24" with _ for as before, and the groups (0: as before)."""

    shapes: str
    groups: int = 0

    def __post_init__(self) -> None:
        words = self.shapes.split() if isinstance(self.shapes, str) else []
        if not words or not all(_SHAPE.fullmatch(w) for w in words):
            raise PlanError(f"a resized layer has the shapes {str(self.shapes)[:80]!r}; 'weight=24x_ bias=24' is one")
        if type(self.groups) is not int or self.groups < 0:
            raise PlanError(f"a resized layer has {self.groups!r} groups; a whole number from 0 was needed")

    def sizes(self) -> dict[str, Shape]:
        """Name of a tensor -> its shape; None for a dimension that is as long as before."""
        pairs = (w.split("=") for w in self.shapes.split())
        return {name: tuple(None if n == "_" else int(n) for n in text.split("x")) for name, text in pairs}


def spec(shapes: Mapping[str, Shape], groups: int = 0) -> Spec:
    """What stands for a layer with tensors of these shapes."""
    words = (f"{n}={'x'.join('_' if d is None else str(d) for d in s)}" for n, s in shapes.items())
    return Spec("resized", {"shapes": " ".join(words), "groups": groups})


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """Those that it has; they are cut, not brought.

    Raises:
        PlanError: always: cutting axes makes such a layer.
    """
    raise PlanError(f"{old.path} is resized by cutting axes; a plan keeps units of them instead of replacing it")


def build(old: nn.Module, settings: Settings) -> nn.Module:
    """A copy of the old module with tensors of these shapes, of no matter what values; the parts in it are the same.

    Raises:
        CheckpointError: it has no such tensor, or one of other dimensions, or a shorter one.
    """
    new = copy.copy(old)
    new._parameters, new._buffers, new._modules = dict(old._parameters), dict(old._buffers), dict(old._modules)
    for name, wanted in settings.sizes().items():
        holder: Any = new._parameters if name in new._parameters else new._buffers
        held = holder.get(name)
        if not isinstance(held, Tensor) or held.dim() != len(wanted) or _longer(wanted, held):
            found = "no such tensor" if not isinstance(held, Tensor) else list(held.shape)
            raise CheckpointError(f"a {type(old).__name__} has {found} where {name} is to be {list(wanted)}")
        shape = [n or have for n, have in zip(wanted, held.shape, strict=True)]
        made = torch.zeros(shape, dtype=held.dtype, device=held.device)
        trained = isinstance(held, nn.Parameter)
        holder[name] = nn.Parameter(made, requires_grad=held.requires_grad) if trained else made
    fit(new, settings.groups)
    return new


def _longer(wanted: Shape, held: Tensor) -> bool:
    return any(n is not None and n > have for n, have in zip(wanted, held.shape, strict=True))


def fit(part: Any, groups: int = 0) -> None:
    """Set the sizes that a layer keeps from the tensors that it holds; `groups` is 0 where these stay; changes it."""
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor):
        return
    if isinstance(part, nn.Linear):
        part.out_features, part.in_features = weight.shape
    elif isinstance(part, nn.Embedding | nn.EmbeddingBag):
        part.num_embeddings, part.embedding_dim = weight.shape
    elif isinstance(part, _ConvNd):
        part.groups = groups or part.groups
        inner, outer = weight.shape[1] * part.groups, weight.shape[0]
        part.in_channels, part.out_channels = (outer, inner) if part.transposed else (inner, outer)
    elif isinstance(part, nn.GroupNorm):
        part.num_groups = groups or part.num_groups
        part.num_channels = weight.shape[0]
    elif isinstance(part, nn.LayerNorm | nn.RMSNorm):
        part.normalized_shape = tuple(weight.shape)
    elif isinstance(part, _NormBase):
        part.num_features = weight.shape[0]
    elif isinstance(part, nn.PReLU):
        part.num_parameters = weight.shape[0]
    elif hasattr(part, "nf") and weight.dim() == 2:  # the linear layer that keeps its matrix as [in out]
        part.nf = weight.shape[1]
        if hasattr(part, "nx"):
            part.nx = weight.shape[0]
