"""Shapes: how many units stay of every axis of a kind, and how many blocks; and which shapes meet a budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from penjing.core import Axis, Layout
from penjing.errors import BudgetError, LayoutError, PlanError
from penjing.layouts import costs
from penjing.maths.rounding import smallest
from penjing.select import blocks as block
from penjing.select.steps import steps_of

BLOCKS = "blocks"
MANY = 20_000
"""Shapes that are counted at most; with more, sizes are taken in larger steps."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Kind of axis -> units that stay of each axis of it ("blocks": how many blocks), and the parameters left."""

    sizes: Mapping[str, int]
    parameters: int

    def __str__(self) -> str:
        """As the setting `shape` of methods takes it."""
        return ",".join(f"{kind}:{units}" for kind, units in self.sizes.items())


def read_shape(text: str) -> dict[str, int]:
    """Kind -> units, of a text such as "neurons:1024,blocks:24"; empty for an empty one.

    >>> read_shape("neurons:1024, blocks:24")
    {'neurons': 1024, 'blocks': 24}

    Raises:
        PlanError: it says something else.
    """
    out: dict[str, int] = {}
    for part in text.split(",") if text else ():
        kind, _, units = part.strip().partition(":")
        if not kind or not units.strip().isdecimal() or kind in out:
            raise PlanError(f"a shape says '{part.strip()}'; needed kinds with their units, once each, as neurons:1024")
        out[kind] = int(units)
    return out


def axes_of(layout: Layout, kind: str) -> list[Axis]:
    """The axes of a kind, which have one size; none for the blocks.

    Raises:
        LayoutError: there is none of this kind, or they differ in size.
    """
    if kind == BLOCKS and layout.blocks:
        return []
    found = [a for a in layout.axes.values() if a.kind == kind]
    if not found:
        kinds = sorted({a.kind for a in layout.axes.values()})
        raise LayoutError(f"the model has no axes of kind '{kind}'; it has {', '.join(kinds)}")
    if len({a.size for a in found}) > 1:
        told = ", ".join(f"{a.name} {a.size}" for a in found[:3])
        raise LayoutError(f"the axes of kind '{kind}' differ in size ({told}, ...); a shape gives all of them one")
    return found


def check_shape(layout: Layout, sizes: Mapping[str, int]) -> None:
    """Refuse a shape that the model cannot get.

    Raises:
        PlanError: a kind would have no units, or more than it has.
        LayoutError: there is no such kind, or its axes differ in size.
    """
    for kind, units in sizes.items():
        axes = axes_of(layout, kind)
        most = axes[0].size if axes else layout.blocks[0].size
        least = max((a.least for a in axes), default=1)
        if not least <= units <= most:
            raise PlanError(f"a shape asks for {units} {kind}; needed {least} to {most}")


def globs_of(layout: Layout, kinds: Sequence[str]) -> str:
    """The globs of the axes of these kinds, as methods take them."""
    return ",".join(k if k in layout.axes else f"{k}.*" for k in kinds)


def shapes_within(
    layout: Layout, limit: int, kinds: Sequence[str], *, tolerance: float = 0.05, most: int = 8, least: float = 0.4,
    multiple: int | None = None,
) -> list[Shape]:  # fmt: skip
    """Shapes whose parameters are within `tolerance` of `limit`, at most `most` of them, far apart from one another.

    No kind keeps less than the share `least` of its units. The first is the one whose shares are most alike; each
    further one is that whose shares are farthest from all before it, so that few shapes stand for many.

    Raises:
        BudgetError: there is none.
        LayoutError: there is no such kind, its axes differ in size, or two lists have blocks.
    """
    grids = {k: _grid(layout, k, least, multiple) for k in kinds}
    while _count(grids) > MANY:
        widest = max(grids, key=lambda k: len(grids[k]))
        grids[widest] = _thinned(grids[widest])
    whole = {k: grid[-1] for k, grid in grids.items()}
    every = list(_counted(layout, grids))
    found = [s for s in every if abs(s.parameters - limit) <= tolerance * limit]
    if not found:
        low, high = min(s.parameters for s in every), max(s.parameters for s in every)
        nearest = min(every, key=lambda s: abs(s.parameters - limit))
        raise BudgetError(
            f"no shape of {', '.join(kinds)} has {limit:,} parameters within {tolerance:.0%}: with at least "
            f"{least:.0%} of each kind there are {low:,} to {high:,}, the nearest {nearest.parameters:,} ({nearest})"
        )
    return _spread(found, whole, most)


def _grid(layout: Layout, kind: str, least: float, multiple: int | None) -> list[int]:
    axes = axes_of(layout, kind)
    if not axes:
        if len(layout.blocks) != 1:
            raise LayoutError(f"a shape has one number of blocks; found {len(layout.blocks)} lists of them")
        size, step, lowest = layout.blocks[0].size, 1, 1
    else:
        step = steps_of(layout, axes, multiple)[axes[0].name]
        size, lowest = axes[0].size, smallest(step, full=axes[0].size, least=max(a.least for a in axes))
    begin = max(lowest, -(-int(least * size) // step) * step)
    return sorted({*range(begin, size, step), size})


def _thinned(grid: Sequence[int]) -> list[int]:
    """Every second size, the whole one among them."""
    return sorted(grid[::-2])


def _count(grids: Mapping[str, Sequence[int]]) -> int:
    out = 1
    for grid in grids.values():
        out *= len(grid)
    return out


def _counted(layout: Layout, grids: Mapping[str, Sequence[int]]) -> Iterator[Shape]:
    """All shapes of the grids. Blocks are taken to be alike, so the first ones stand for any."""
    axes = {k: axes_of(layout, k) for k in grids}
    for count in grids.get(BLOCKS, [0]):
        left = block.without(layout, layout.blocks[0], range(count)) if count else layout
        widths = [k for k in grids if k != BLOCKS]
        for sizes in product(*(grids[k] for k in widths)):
            given = dict(zip(widths, sizes, strict=True))
            counts = {a.name: units for k, units in given.items() for a in axes[k]}
            shown = {k: given.get(k, count) for k in grids}
            yield Shape(sizes=shown, parameters=costs.parameters(left, counts))


def _spread(found: Sequence[Shape], whole: Mapping[str, int], most: int) -> list[Shape]:
    shares = [[s.sizes[k] / whole[k] for k in whole] for s in found]

    def apart(one: int, other: int) -> float:
        return sum(abs(a - b) for a, b in zip(shares[one], shares[other], strict=True))

    taken = [min(range(len(found)), key=lambda i: (max(shares[i]) - min(shares[i]), i))]
    gap = [apart(i, taken[0]) for i in range(len(found))]
    while len(taken) < min(most, len(found)):
        far = max(range(len(found)), key=lambda i: (gap[i], -i))
        if gap[far] <= 0:
            break
        taken.append(far)
        gap = [min(g, apart(i, far)) for i, g in enumerate(gap)]
    return [found[i] for i in taken]
