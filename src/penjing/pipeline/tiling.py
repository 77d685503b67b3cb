"""A network over a picture of any size: padded to what it takes, and in tiles where it is large."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Advance = Callable[[int], None]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side of `length` pixels, the last at its end; neighbours share `overlap` or more."""
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def extent(length: int, tile: int, multiple: int) -> int:
    """The side of the tiles along a side of `length`: the tile's, or the next multiple where the picture is smaller."""
    return min(tile, -(-length // multiple) * multiple)


def padded(picture: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, int, int]:
    """`picture` [h w 3] with at least these sides, reflected at all edges, and where it begins in that."""
    above, left = max(rows - picture.shape[0], 0), max(columns - picture.shape[1], 0)
    edges = ((above // 2, above - above // 2), (left // 2, left - left // 2), (0, 0))
    return np.pad(picture, edges, mode="reflect"), above // 2, left // 2


def ramp(length: int, overlap: int) -> np.ndarray:
    """[length]: how much a tile counts from its edge inwards; it rises through the overlap to one."""
    place = np.arange(1, length + 1, dtype=np.float32)
    return np.minimum(1, np.minimum(place, place[::-1]) / (overlap + 1)).astype(np.float32)


def over(
    network: Callable[[Tensor], Tensor],
    picture: np.ndarray,
    *,
    tile: int,
    overlap: int,
    multiple: int,
    advance: Advance,
) -> tuple[np.ndarray, float | None]:
    """What `network` ([1 3 h w] in 0 to 1 to the same) makes of `picture` [h w 3] uint8, and how far tiles disagree.

    The disagreement is the mean distance of neighbouring tiles where they overlap, in steps of 255; None of one tile.
    Beside the picture itself, memory is taken for one tile at a time.
    """
    high, wide = (extent(n, tile, multiple) for n in picture.shape[:2])
    canvas, top, left = padded(picture, high, wide)
    total = np.zeros(canvas.shape, np.float32)
    weight = np.zeros((*canvas.shape[:2], 1), np.float32)
    shape = (ramp(high, overlap)[:, None] * ramp(wide, overlap))[..., None]
    apart, shared = 0.0, 0
    for y in starts(canvas.shape[0], tile, overlap):
        for x in starts(canvas.shape[1], tile, overlap):
            place = (slice(y, y + high), slice(x, x + wide))
            seen = torch.from_numpy(canvas[place].astype(np.float32) / 255).permute(2, 0, 1)[None]
            with torch.no_grad():
                made = network(seen)[0].permute(1, 2, 0).float().cpu().numpy()
            before = weight[place][..., 0] > 0
            if before.any():
                known = total[place][before] / weight[place][before]
                apart += float(np.abs(known - made[before]).sum())
                shared += known.size
            total[place] += shape * made
            weight[place] += shape
            advance(1)
    whole = (total / weight)[top : top + picture.shape[0], left : left + picture.shape[1]]
    return (whole.clip(0, 1) * 255).round().astype(np.uint8), 255 * apart / shared if shared else None


def count(length: int, tile: int, overlap: int) -> int:
    """How many tiles there are along a side."""
    return len(starts(length, tile, overlap))
