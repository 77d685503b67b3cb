"""Linear maps along one dimension of a tensor: bases, and gains that are read when their turn comes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from penjing.core import Concat, Leaf, Product

if TYPE_CHECKING:
    from penjing.surgery.recipe import Recipe

Made = Callable[["Recipe"], Tensor]
"""What makes the tensor of a recipe."""


@dataclass(frozen=True, eq=False)
class Gain:
    """A norm's gain, as factors along a dimension: what its `recipe` makes and `offset`, or 1 over that.

    `units` tell for each position of the dimension which factor is its own, -1 for none; None if they are the same.
    """

    recipe: "Recipe"
    offset: float = 0.0
    inverse: bool = False
    units: Tensor | None = None

    def factors(self, made: Made) -> Tensor:
        """[positions of the dimension] float64."""
        gain = made(self.recipe).to(torch.float64) + self.offset
        if self.inverse:  # where the gain is zero, so must be what is divided: `verify` sees to it
            gain = torch.where(gain == 0, 0.0, 1.0 / gain)
        if self.units is None:
            return gain
        units = self.units.to(gain.device)
        return torch.where(units < 0, 1.0, gain[units.clamp_min(0)])


@dataclass(frozen=True, eq=False)
class Map:
    """What the entries along a dimension are multiplied by, factor by factor; the last factor is a basis.

    `size` is how many entries come out, `chosen` where each of them lies in the old numbering of a mask. With `root`,
    the result is multiplied by the root of `root` / `over` (the size, if 0): what a norm or a scale that follows the
    width would else change.
    """

    factors: tuple[Gain | Tensor, ...]
    size: int
    chosen: Tensor
    root: int = 0
    over: int = 0

    def matrix(self, made: Made, device: torch.device) -> Tensor:
        """[entries size] float64: the whole map."""
        out: Tensor | None = None
        scale: Tensor | None = None
        for factor in self.factors:
            if isinstance(factor, Gain):
                gain = factor.factors(made).to(device)
                if out is None:
                    scale = gain if scale is None else scale * gain
                else:
                    out = out * gain
            else:
                basis = factor.to(device, torch.float64)
                out = basis if out is None else out @ basis
        if out is None:
            raise AssertionError("a map ends in a basis")
        out = out if scale is None else scale[:, None] * out
        return out if not self.root else out * ratio(self.root, self.over or self.size)

    def select(self, places: Tensor) -> "Map":
        """The map of which only some results are kept."""
        last = self.factors[-1]
        if isinstance(last, Gain):
            raise AssertionError("a map ends in a basis")
        columns = last.index_select(1, places.to(last.device))
        return replace(self, factors=(*self.factors[:-1], columns), size=len(places), chosen=self.chosen[places])

    def then(self, other: "Map") -> "Map":
        """This map, then another."""
        return replace(
            self, factors=self.factors + other.factors, size=other.size, chosen=self.chosen[other.chosen],
            root=self.root or other.root,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dot:
    """A product that is added: what `weight` makes, summed along a dimension with what `vector` makes.

    `units` tell for each position of the dimension which entry of the vector is its own, -1 for none.
    """

    weight: "Recipe"
    vector: "Recipe"
    dim: int
    units: Tensor

    def value(self, made: Made) -> Tensor:
        """[the weight's other dimensions] float64."""
        weight = made(self.weight).to(torch.float64)
        vector, units = made(self.vector).to(weight.device, torch.float64), self.units.to(weight.device)
        vector = torch.where(units < 0, 0.0, vector[units.clamp_min(0)])
        return torch.tensordot(weight, vector, dims=[[self.dim], [0]])  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Fill:
    """The gain of a norm that was folded: the root of `root` / `over` (the size, if 0), less `offset`, all over.

    Without `root` and `offset` it is zero: a bias that was folded. A norm divides by the root of the mean over its
    width; a gain of the root of old width / new width makes a cut norm divide by the old width, as its mask does.
    """

    root: int
    offset: float = 0.0
    over: int = 0

    def value(self, size: int) -> float:
        """The number, for a vector of this size."""
        return ratio(self.root, self.over or size) - self.offset


def ratio(root: int, size: int) -> float:
    """The root of root / size, exactly 1 when they agree."""
    return 1.0 if root == size else math.sqrt(root / size)


def units(dim: Product | Concat | Leaf, axis: str) -> Tensor:
    """[size of dim] int64: which unit of the axis each position belongs to, -1 for none."""
    if isinstance(dim, Leaf):
        return torch.arange(dim.size) if dim.name == axis else torch.full((dim.size,), -1)
    if isinstance(dim, Concat):
        return torch.cat([units(p, axis) for p in dim.parts])
    out = torch.full((1,), -1)
    for part in dim.parts:
        out = torch.maximum(out[:, None], units(part, axis)[None, :]).flatten()
    return out


def mapping(dim: Product | Concat | Leaf, axis: str, basis: Tensor) -> Tensor:
    """[size of dim, new size]: the map of a dimension when the axis in it goes through `basis` [units, new units]."""
    if isinstance(dim, Leaf):
        return basis if dim.name == axis else torch.eye(dim.size, dtype=basis.dtype)
    if isinstance(dim, Concat):
        return torch.block_diag(*(mapping(p, axis, basis) for p in dim.parts))
    out: Tensor | None = None
    for part in dim.parts:
        made = mapping(part, axis, basis)
        out = made if out is None else torch.kron(out, made)
    return torch.ones(1, 1, dtype=basis.dtype) if out is None else out
