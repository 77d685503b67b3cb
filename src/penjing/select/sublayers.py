"""The parts of blocks that add to the residual stream: attention and MLPs, found by the weights that write there."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from penjing.core import Layout
from penjing.core.pattern import names
from penjing.errors import UnsupportedError
from penjing.select.dropping import the_list

HEADS = ("heads", "queries")
"""Kinds of axes that only attention has."""


@dataclass(frozen=True, kw_only=True)
class Sublayer:
    """A part of a block, by the path of its module."""

    path: str
    block: int
    kind: Literal["attention", "mlp"]


def sublayers(layout: Layout) -> tuple[Sublayer, ...]:
    """All of them, by block and in the order of the file.

    Raises:
        UnsupportedError: no part of a block writes into the stream.
    """
    of = the_list(layout)
    inside = re.compile(rf"({re.escape(of.path)}\.(\d+)\.([^.]+))\..+")
    found: dict[str, int] = {}
    for writer in layout.writers:
        match = inside.fullmatch(writer.tensor)
        if match is not None:
            found[match[1]] = int(match[2])
    if not found:
        raise UnsupportedError(f"no part of the blocks in {of.path} writes into the stream; drop whole blocks")
    return tuple(
        Sublayer(path=path, block=k, kind="attention" if _has_heads(layout, path) else "mlp")
        for path, k in sorted(found.items(), key=lambda item: item[1])
    )


def _has_heads(layout: Layout, path: str) -> bool:
    kinds = {a.split(".")[0] for t in layout.patterns if t.startswith(f"{path}.") for a in names(layout.patterns[t])}
    return bool(kinds.intersection(HEADS)) or "att" in path.rpartition(".")[2].lower()


def without(layout: Layout, gone: Iterable[Sublayer]) -> Layout:
    """The layout without the weights of these parts: what is left to count costs of."""
    starts = tuple(f"{part.path}." for part in gone)
    lost = {t for t in layout.patterns if starts and t.startswith(starts)}
    patterns = {t: p for t, p in layout.patterns.items() if t not in lost}
    dead = {a for t in lost for a in names(layout.patterns[t])} - {a for p in patterns.values() for a in names(p)}
    work = tuple(w for w in layout.work if w.tensor not in lost and not dead.intersection(w.axes))
    return replace(layout, patterns=patterns, work=work)
