"""How one tensor of the result is made: places that stay, then zeros, or else new values."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penjing.core import Pattern
from penjing.core.pattern import cut, kept_positions

Places = tuple[Tensor | None, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How one tensor of the result is made.

    `places` are, per dimension, the positions of the stored tensor that stay (int64, ascending), or None for all.
    `values` replace what is stored, in the shape of the result. `kept` is False where the result is zero. All are
    in the numbering of the result, so several edits of one tensor are one recipe.
    """

    source: str
    stored: tuple[int, ...]
    pattern: Pattern | None
    places: Places
    values: Tensor | None = None
    kept: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return tuple(n if p is None else len(p) for n, p in zip(self.stored, self.places, strict=True))

    @property
    def untouched(self) -> bool:
        """Whether the result is the stored tensor, byte for byte."""
        return self.values is None and self.kept is None and all(p is None for p in self.places)

    def select(self, axis: str, units: Tensor) -> "Recipe":
        """The recipe once an axis keeps only some of its units (bool [units])."""
        pattern = self.pattern or ()
        places = kept_positions(pattern, {axis: units})
        joined = tuple(
            old if new is None else new if old is None else old[new]
            for old, new in zip(self.places, places, strict=True)
        )
        return replace(
            self,
            pattern=cut(pattern, {axis: int(units.sum())}),
            places=joined,
            values=_index(self.values, places),
            kept=_index(self.kept, places),
        )

    def masked(self, kept: Tensor) -> "Recipe":
        """The recipe with zeros where `kept` (bool, in the shape of the result) is False."""
        return replace(self, kept=kept if self.kept is None else self.kept & kept)

    def updated(self, values: Tensor) -> "Recipe":
        """The recipe with other values, in the shape of the result."""
        return replace(self, values=values, kept=None)


def _index(tensor: Tensor | None, places: Places) -> Tensor | None:
    if tensor is None:
        return None
    for dim, place in enumerate(places):
        tensor = tensor if place is None else tensor.index_select(dim, place)
    return tensor


def spread(small: Tensor, recipe: Recipe) -> Tensor:
    """The cut tensor at its places in zeros of the stored shape."""
    out = torch.zeros(recipe.stored, dtype=small.dtype, device=small.device)
    if not recipe.stored:
        return small
    grid = torch.meshgrid(
        *(torch.arange(n) if p is None else p for n, p in zip(recipe.stored, recipe.places, strict=True)), indexing="ij"
    )
    out[tuple(g.to(small.device) for g in grid)] = small
    return out
