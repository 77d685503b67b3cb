"""One tensor, cut and mapped: whole in memory, or piece by piece from a file, with the same bits either way.

What goes through a linear map is computed in float64, piece by piece in the same pieces both ways (the rounding of a
matrix product depends on its shape), and rounded once to the stored dtype.
"""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from penjing.surgery.recipe import Recipe

PIECE = 8 << 20
"""About how many stored bytes are looked at in one go."""

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_Read = Callable[[int, int], Tensor]


class Tensors(Protocol):
    """Stored tensors."""

    def __getitem__(self, name: str, /) -> Tensor:
        """One tensor."""
        ...


class Rows(Tensors, Protocol):
    """Stored tensors of which some rows can be read alone."""

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor."""
        ...


def whole(recipe: Recipe, tensors: Tensors, dtype: torch.dtype) -> Tensor:
    """The tensor that a recipe makes, in one piece; the stored one is not read when the values are new."""
    if recipe.values is not None:
        return _finish(recipe.values.to(dtype), recipe, 0).contiguous()
    if recipe.fill is not None:
        full = torch.full(recipe.shape, recipe.fill.value(recipe.shape[0]), dtype=torch.float64)
        return _finish(full.to(dtype), recipe, 0)
    part = _base(recipe, tensors)
    if recipe.mapped:
        return torch.cat(list(_mapped(recipe, lambda a, b: part[a:b], tensors, dtype)))
    if recipe.places and recipe.places[0] is not None:
        part = _take(part, 0, recipe.places[0])
    return _finish(_columns(part, recipe), recipe, 0).to(dtype).contiguous()


def pieces(recipe: Recipe, tensors: Rows, dtype: torch.dtype) -> Iterator[Tensor]:
    """Consecutive row-major pieces of the tensor that a recipe makes, in `dtype`.

    No more than about `PIECE` bytes of stored rows are in memory at a time. A tensor whose first dimension is mapped
    comes in one piece, for each of its rows is made of all stored rows.
    """
    if recipe.before is not None or recipe.values is not None or recipe.fill is not None or not recipe.shape:
        yield whole(recipe, tensors, dtype)
        return

    def rows(start: int, stop: int) -> Tensor:
        return tensors.rows(recipe.source, start, stop)

    if recipe.mapped:
        yield from _mapped(recipe, rows, tensors, dtype)
        return
    for start, part in _picked(recipe, rows, dtype):
        yield _finish(part, recipe, start).to(dtype).contiguous()


def _base(recipe: Recipe, tensors: Tensors) -> Tensor:
    """What places and maps begin with: the stored tensor, or what earlier edits make of it."""
    part = tensors[recipe.source] if recipe.before is None else whole(recipe.before, tensors, torch.float64)
    if recipe.added is None:
        return part
    more = recipe.added.value(lambda r: whole(r, tensors, torch.float64))
    return part.to(torch.float64) + more.to(part.device)


def _mapped(recipe: Recipe, rows: _Read, tensors: Tensors, dtype: torch.dtype) -> Iterator[Tensor]:
    maps: list[Tensor | None] = []
    total: Tensor | None = None
    for start, part in _picked(recipe, rows, torch.float32):  # the same pieces whatever the dtype of the result
        if not maps:
            maps = [m and m.matrix(lambda r: whole(r, tensors, torch.float64), part.device) for m in recipe.maps]
        # A copy of its own lies aligned and in order, wherever the rows came from: the same product, bit for bit.
        part = torch.empty(part.shape, dtype=torch.float64, device=part.device).copy_(part)
        for dim, matrix in enumerate(maps):
            if dim and matrix is not None:
                part = _along(part, dim, matrix)
        first = maps[0]
        if first is None:
            yield _finish(part.to(dtype), recipe, start).contiguous()
        else:
            made = _along(part, 0, first[start : start + len(part)])
            total = made if total is None else total.add_(made)
    if total is not None:
        yield _finish(total.to(dtype), recipe, 0).contiguous()


def _along(part: Tensor, dim: int, matrix: Tensor) -> Tensor:
    """Every vector along a dimension times the matrix."""
    return torch.tensordot(part, matrix, dims=[[dim], [0]]).movedim(-1, dim)  # pyright: ignore[reportArgumentType]


def _picked(recipe: Recipe, rows: _Read, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
    """(number of the first row, rows of what stays), before any map."""
    place = recipe.places[0]
    for start, stop in _stretches(recipe, dtype.itemsize):
        if place is None:
            part = rows(start, stop)
        else:
            first, last = int(place[start]), int(place[stop - 1])
            part = rows(first, last + 1)
            if len(part) != stop - start:
                part = _take(part, 0, place[start:stop] - first)
        yield start, _columns(part, recipe)


def _stretches(recipe: Recipe, itemsize: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of rows that stay; each comes from about `PIECE` stored bytes, gaps between rows included."""
    reach = max(PIECE // max(math.prod(recipe.stored[1:]) * itemsize, 1), 1)
    place = recipe.places[0]
    start = 0
    while start < recipe.selected[0]:
        stop = start + reach
        if place is not None:
            stop = int(torch.searchsorted(place, int(place[start]) + reach))
        stop = min(stop, recipe.selected[0])
        yield start, stop
        start = stop


def _columns(part: Tensor, recipe: Recipe) -> Tensor:
    """Cut every dimension but the first."""
    for dim, place in enumerate(recipe.places):
        if dim and place is not None:
            part = _take(part, dim, place)
    return part


def _take(part: Tensor, dim: int, place: Tensor) -> Tensor:
    """`index_select` on bits, which serves every dtype and leaves NaN payloads as they are."""
    if part.dtype == torch.bool or part.element_size() not in _INTEGERS or part.dtype.is_complex:
        return part.index_select(dim, place.to(part.device))
    bits = part.contiguous().view(_INTEGERS[part.element_size()])
    return bits.index_select(dim, place.to(part.device)).view(part.dtype)


def _finish(part: Tensor, recipe: Recipe, start: int) -> Tensor:
    """Zeros where the recipe has them; `part` starts at row `start` of the result."""
    if recipe.kept is None:
        return part
    kept = recipe.kept if not recipe.shape else recipe.kept[start : start + len(part)]
    return torch.where(kept.to(part.device), part, torch.zeros((), dtype=part.dtype, device=part.device))
