"""How one tensor of the result is made: places that stay, linear maps, then zeros, or else new values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penjing.core import Pattern
from penjing.core.pattern import cut, kept_positions
from penjing.surgery.maps import Dot, Fill, Map

Places = tuple[Tensor | None, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How one tensor of the result is made, from the stored tensor `source`, or what `before` makes of it and `added`.

    `places` are, per dimension, the positions of that tensor that stay (int64), or None for all; `maps` are, per
    dimension, the linear maps that what stays goes through (empty if none does). `fill` makes the result one number
    all over, `values` replace it, in its own shape, and `kept` is False where it is zero. All are in the numbering of
    the result, so several edits of one tensor are one recipe. A tensor that an edit `brought` has the name that stands
    there, in the model before blocks are dropped; it is stored as its `source` is, and `stored` is what it would be
    without any cut.
    """

    source: str
    stored: tuple[int, ...]
    pattern: Pattern | None
    places: Places
    maps: tuple[Map | None, ...] = ()
    fill: Fill | None = None
    values: Tensor | None = None
    kept: Tensor | None = None
    before: "Recipe | None" = None
    added: Dot | None = None
    brought: str = ""

    @property
    def selected(self) -> tuple[int, ...]:
        """The shape of what stays, before the maps."""
        return tuple(n if p is None else len(p) for n, p in zip(self.stored, self.places, strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        if not self.maps:
            return self.selected
        return tuple(n if m is None else m.size for n, m in zip(self.selected, self.maps, strict=True))

    @property
    def mapped(self) -> bool:
        """Whether the result is computed, rather than picked from what is stored."""
        return bool(self.maps) and self.values is None and self.fill is None

    @property
    def untouched(self) -> bool:
        """Whether the result is the stored tensor, byte for byte."""
        plain = self.values is None and self.kept is None and self.fill is None and self.before is None
        return plain and not self.maps and all(p is None for p in self.places)

    def select(self, axis: str, units: Tensor) -> "Recipe":
        """The recipe once an axis keeps only some of its units (bool [units])."""
        pattern = self.pattern or ()
        places = kept_positions(pattern, {axis: units})
        maps = self.maps or (None,) * len(places)
        return replace(
            self,
            pattern=cut(pattern, {axis: int(units.sum())}),
            places=tuple(o if m else _joined(o, n) for o, n, m in zip(self.places, places, maps, strict=True)),
            maps=tuple(m if m is None or n is None else m.select(n) for m, n in zip(self.maps, places, strict=False)),
            values=_index(self.values, places),
            kept=_index(self.kept, places),
        )

    def masked(self, kept: Tensor) -> "Recipe":
        """The recipe with zeros where `kept` (bool, in the shape of the result) is False."""
        return replace(self, kept=kept if self.kept is None else self.kept & kept)

    def updated(self, values: Tensor) -> "Recipe":
        """The recipe with other values, in the shape of the result."""
        return replace(self, values=values, kept=None)

    def through(self, maps: tuple[Map | None, ...], pattern: Pattern) -> "Recipe":
        """The recipe once the result, whose pattern is then `pattern`, goes through maps, one for each dimension."""
        old = self
        if self.values is not None or self.kept is not None or self.fill is not None:
            old = Recipe(
                source=self.source, stored=self.shape, pattern=self.pattern, places=(None,) * len(maps), before=self,
                brought=self.brought,
            )  # fmt: skip
        first = old.maps or (None,) * len(maps)
        joined = tuple(a if b is None else b if a is None else a.then(b) for a, b in zip(first, maps, strict=True))
        return replace(old, maps=joined, pattern=pattern)

    def plus(self, product: Dot) -> "Recipe":
        """The recipe with a product added, in the shape of the result."""
        return Recipe(
            source=self.source, stored=self.shape, pattern=self.pattern, places=(None,) * len(self.shape), before=self,
            added=product, brought=self.brought,
        )  # fmt: skip

    def filled(self, fill: Fill, size: int, pattern: Pattern) -> "Recipe":
        """The recipe of a vector that becomes one number all over, `size` times; earlier values no longer matter."""
        old = self.places[0]
        same = old is None and size == self.stored[0]
        place = None if same else torch.arange(size) if old is None else old[:size]
        return Recipe(
            source=self.source, stored=self.stored, pattern=pattern, places=(place,), fill=fill, brought=self.brought
        )

    def origin(self, dim: int) -> tuple[int, Tensor | None]:
        """(length before any edit, the positions therein that the result has; None for all) of a dimension."""
        maps = self.maps or (None,) * len(self.places)
        mine = self.places[dim]
        if (through := maps[dim]) is not None:
            mine = through.chosen if mine is None else mine[through.chosen]
        if self.before is None:
            return self.stored[dim], mine
        length, first = self.before.origin(dim)
        return length, _joined(first, mine)

    def in_old_shape(self) -> "Recipe":
        """The recipe of what `spread` takes: where a factor depends on the size, that of the stored tensor counts."""
        maps = tuple(m if m is None else replace(m, over=n) for m, n in zip(self.maps, self.stored, strict=False))
        fill = None if self.fill is None else replace(self.fill, over=self.stored[0])
        before = None if self.before is None else self.before.in_old_shape()
        return replace(self, maps=maps, fill=fill, before=before)


def as_stored(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Recipes of the same tensors as they are: what dropping blocks alone leaves. What edits brought is zeros."""
    return {
        name: Recipe(
            source=r.source,
            stored=r.stored,
            pattern=None,
            places=(None,) * len(r.stored),
            brought=r.brought,
            values=torch.zeros(r.stored) if r.brought else None,
        )
        for name, r in recipes.items()
    }


def _joined(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    return old if new is None else new if old is None else old[new]


def _index(tensor: Tensor | None, places: Places) -> Tensor | None:
    if tensor is None:
        return None
    for dim, place in enumerate(places):
        tensor = tensor if place is None else tensor.index_select(dim, place)
    return tensor


def spread(small: Tensor, recipe: Recipe) -> Tensor:
    """The cut tensor at its places in zeros of the stored shape; mapped dimensions are in their new numbering."""
    if not recipe.stored:
        return small
    out = torch.zeros(recipe.stored, dtype=small.dtype, device=small.device)
    maps = recipe.maps or (None,) * len(recipe.places)
    at = [_positions(n, p, m) for n, p, m in zip(recipe.stored, recipe.places, maps, strict=True)]
    grid = torch.meshgrid(*at, indexing="ij")
    out[tuple(g.to(small.device) for g in grid)] = small
    return out if recipe.before is None else spread(out, recipe.before)


def _positions(stored: int, place: Tensor | None, through: Map | None) -> Tensor:
    place = torch.arange(stored) if place is None else place
    return place if through is None else place[through.chosen]
