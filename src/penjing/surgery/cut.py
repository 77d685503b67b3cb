"""One tensor, cut: whole in memory, or piece by piece from a file, with the same bits either way."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from penjing.surgery.recipe import Recipe

PIECE = 8 << 20
"""About how many stored bytes are looked at in one go."""

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def whole(recipe: Recipe, stored: Callable[[], Tensor], dtype: torch.dtype) -> Tensor:
    """The cut tensor in one piece, in `dtype`; `stored` gives the stored one, and is not called for new values."""
    if recipe.values is not None:
        return _finish(recipe.values.to(dtype), recipe, 0).contiguous()
    part = stored()
    if recipe.places and recipe.places[0] is not None:
        part = _take(part, 0, recipe.places[0])
    return _finish(_columns(part, recipe), recipe, 0).to(dtype).contiguous()


def pieces(recipe: Recipe, rows: Callable[[int, int], Tensor], dtype: torch.dtype) -> Iterator[Tensor]:
    """Consecutive row-major pieces of the cut tensor, in `dtype`.

    `rows(start, stop)` gives stored rows; no more than about `PIECE` bytes of them are in memory at a time.
    """
    place = recipe.places[0]
    for start, stop in _stretches(recipe, dtype.itemsize):
        if place is None:
            part = rows(start, stop)
        else:
            first, last = int(place[start]), int(place[stop - 1])
            part = rows(first, last + 1)
            if len(part) != stop - start:
                part = _take(part, 0, place[start:stop] - first)
        yield _finish(_columns(part, recipe), recipe, start).to(dtype).contiguous()


def _stretches(recipe: Recipe, itemsize: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of rows of the result; each comes from about `PIECE` stored bytes, gaps between rows included."""
    reach = max(PIECE // max(math.prod(recipe.stored[1:]) * itemsize, 1), 1)
    place = recipe.places[0]
    start = 0
    while start < recipe.shape[0]:
        stop = start + reach
        if place is not None:
            stop = int(torch.searchsorted(place, int(place[start]) + reach))
        stop = min(stop, recipe.shape[0])
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
