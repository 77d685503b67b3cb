"""A model of the same shape with its widths shrunk, small enough to run: what proofs are made on."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from torch import nn

from penjing.core import Layout
from penjing.errors import CheckpointError
from penjing.layouts.config import counts, paths
from penjing.layouts.config.stock import build, full_config
from penjing.layouts.graph.inputs import example
from penjing.layouts.prove import proof
from penjing.layouts.prove.proofs import confirm

ENOUGH = 300_000
"""Parameters that are few enough: float64, some forward passes per axis."""
SMALLEST = 4
"""Entries below this are left alone: one unit cannot be cut, and ratios of heads should stay ratios."""


def shrunken(config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """The config with few blocks and every width that moves an axis halved again and again, while stock code builds it.

    Raises:
        CheckpointError: the config cannot be built at all.
    """
    whole = full_config(config)
    small = counts.few_blocks(whole, build(whole))[0]
    count = _parameters(build(small))
    cut = {a.name for a in layout.axes.values() if a.state != "uncut"}
    entries = [(e.path, *e.together) for e in layout.entries if cut & e.moves.keys()]
    entries += [(e.path, *e.together) for e in layout.entries if (e.path, *e.together) not in entries]
    moved = True
    while moved and count > ENOUGH:
        moved = False
        for alike in entries:
            values = {p: paths.get(small, p) for p in alike}
            if any(not isinstance(v, int) or v % 2 or v < 2 * SMALLEST for v in values.values()):
                continue
            smaller = paths.put(small, {p: v // 2 for p, v in values.items()})
            try:
                found = _parameters(build(smaller))
            except CheckpointError:
                continue
            if found < count:
                small, count, moved = smaller, found, True
    return dict(small)


def prove_config(
    config: Mapping[str, Any], layout: Layout, *, progress: Callable[[int, int], None] | None = None
) -> Layout:
    """The layout with "graph" among the proofs of each free axis whose like equalled its mask on a small build.

    The small build has the same code and the same kinds of blocks. An axis is proved when every axis of the small build
    that has its name, block numbers aside, was cut at random, made a difference, and equalled its mask.

    Raises:
        LayoutError: the model cannot be recorded, or a free axis did not equal its mask.
        CheckpointError: the config cannot be built.
    """
    module = build(shrunken(config, layout), device="cpu")
    kwargs = example(module, device="cpu")
    results = proof.prove(module, (), kwargs)
    if progress is not None:
        progress(1, 1)
    confirm(results.values())
    shown: dict[str, bool] = {}
    for name, result in results.items():
        shown[_like(name)] = shown.get(_like(name), True) and result.ok
    axes = {
        n: replace(a, proofs=tuple(dict.fromkeys((*a.proofs, "graph"))))
        if a.state == "free" and shown.get(_like(n))
        else a
        for n, a in layout.axes.items()
    }
    return replace(layout, axes=axes)


def _like(name: str) -> str:
    """A name with its block numbers left out."""
    return re.sub(r"\.\d+(?=\.|$)", ".#", name)


def _parameters(module: nn.Module) -> int:
    return sum(prod(p.shape) for p in module.parameters())
