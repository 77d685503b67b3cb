"""Restored photographs beside what they were, as a page and as lines of the terminal."""

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import quote

import numpy as np

from penjing.pipeline.restoring import Picture, Restored, pixels
from penjing.report.environment import environment

WIDEST = 960
"""Sides of the pictures in the page, in pixels; the files have all of them."""
DETAIL = 192


def restored_page(found: Restored) -> str:
    """The whole page as text: small copies are in it, and the files beside it are linked. Names are escaped."""
    return _template().render(found=found, headline=headline(found), notes=notes(found), shown=_shown(found))


def headline(found: Restored) -> str:
    """What was done, in a sentence."""
    many = len(found.pictures)
    return f"{many} {'photograph' if many == 1 else 'photographs'} through {found.model.name}"


def notes(found: Restored) -> list[str]:
    """What a reader must know of the tiles."""
    tiled = [p for p in found.pictures if p.apart is not None]
    if not tiled:
        return []
    worst = max(tiled, key=lambda p: p.apart or 0)
    return [
        f"{len(tiled)} of {len(found.pictures)} were cut into tiles of {found.tile} pixels that share {found.overlap}; "
        f"where tiles overlap they differ by {worst.apart:.2f} of 255 on the mean in {worst.name}, the most of all"
    ]


def restored_lines(found: Restored) -> Iterator[str]:
    """One line for each photograph, then the notes."""
    for one in found.pictures:
        tiles = "" if one.tiles == 1 else f", {one.tiles} tiles"
        yield f"{one.name}  {one.columns} x {one.rows}{tiles}, changed by {one.change:.2f} of 255 on the mean"
    yield from (f"note: {note}" for note in notes(found))


def _shown(found: Restored) -> Iterator[dict[str, Any]]:
    for one in found.pictures:
        before, after = pixels(one.source), pixels(found.folder / one.name)
        y, x = most(before, after)
        crop = (slice(y, y + DETAIL), slice(x, x + DETAIL))
        yield {
            "picture": one, "link": quote(one.name), "facts": _facts(one),
            "before": _data(before), "after": _data(after), "near": (_data(before[crop]), _data(after[crop])),
        }  # fmt: skip


def _facts(one: Picture) -> str:
    parts = [f"{one.columns} × {one.rows} pixels", f"changed by {one.change:.2f} of 255 on the mean"]
    if one.apart is not None:
        parts.append(f"{one.tiles} tiles, which differ by {one.apart:.2f} where they overlap")
    return ", ".join(parts)


def most(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """Row and column where the square of `DETAIL` pixels begins in which the pictures [h w 3] differ most."""
    gap = np.abs(after.astype(np.float64) - before).mean(2)
    table = np.pad(gap.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    high, wide = (min(DETAIL, n) for n in gap.shape)
    sums = table[high:, wide:] - table[:-high, wide:] - table[high:, :-wide] + table[:-high, :-wide]
    row, column = divmod(int(sums.argmax()), sums.shape[1])
    return row, column


def _data(picture: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    held = BytesIO()
    image.save(held, "PNG" if max(image.size) <= DETAIL else "JPEG", quality=88)
    kind = "png" if max(image.size) <= DETAIL else "jpeg"
    return f"data:image/{kind};base64,{b64encode(held.getvalue()).decode()}"


@cache
def _template() -> Any:
    return environment().get_template("restored.html")
