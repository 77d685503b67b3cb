"""In what steps axes can shrink: what hardware likes, and what config entries can hold."""

import math
from collections.abc import Mapping, Sequence

from penjing.core import Axis, Layout
from penjing.core.pattern import Leaf, leaves
from penjing.errors import BudgetError
from penjing.maths.rounding import liked

COARSEST = 4
"""A liked rounding is given up where it would leave fewer sizes than this."""


def step(layout: Layout, axis: Axis) -> int:
    """The rounding that an axis gets by itself: `liked` when a product sums over it alone, else 1."""
    return liked(axis.size) if _alone(layout, axis.name) else 1


def step_of(layout: Layout, axis: Axis, multiple: int | None) -> int:
    """The rounding of an axis: `multiple` where one is given and the axis can be rounded, else its own.

    Raises:
        BudgetError: `multiple` is below 1.
    """
    if multiple is None:
        return step(layout, axis)
    if multiple < 1:
        raise BudgetError(f"sizes cannot be multiples of {multiple}; give a multiple of 1 or more")
    return multiple if _alone(layout, axis.name) else 1


def steps_of(layout: Layout, axes: Sequence[Axis], multiple: int | None = None) -> dict[str, int]:
    """Axis -> its rounding, such that axes of unlike sizes that follow the same entries can shrink by one ratio.

    An entry that is a ratio in whole numbers (an `expand` of 2) allows only as many sizes as it has values.

    Raises:
        BudgetError: `multiple` is below 1.
    """
    steps = {a.name: step_of(layout, a, multiple) for a in axes}
    groups: dict[tuple[str, tuple[str, ...]], list[Axis]] = {}
    for axis in axes:
        if axis.entries:
            groups.setdefault((axis.kind, axis.entries), []).append(axis)
    for (_, entries), group in groups.items():
        parts = math.gcd(*(a.size for a in group), *_whole(layout, entries, group))
        if len({a.size for a in group}) > 1 or parts < group[0].size:
            steps |= _alike(group, parts, steps)
    return steps


def _whole(layout: Layout, entries: tuple[str, ...], group: Sequence[Axis]) -> list[int]:
    """The value of the one entry that moves these axes alone, where it is a whole number."""
    names = {a.name for a in group}
    own = [e for e in layout.entries if e.path in entries and set(e.moves) == names and not e.together]
    if not own or any(not e.whole for e in own):
        return []
    return [int(e.value) for e in own[:1] if all(p == 1.0 for p in e.moves.values()) and e.value >= 1]


def _alike(group: Sequence[Axis], parts: int, steps: Mapping[str, int]) -> dict[str, int]:
    """Steps that are the same share of every axis: a whole number of the `parts` that each can be divided into."""
    liked_by_all = next(
        (m for m in range(1, parts // COARSEST + 1) if all(a.size // parts * m % steps[a.name] == 0 for a in group)), 1
    )
    return {a.name: a.size // parts * liked_by_all for a in group}


def _alone(layout: Layout, axis: str) -> bool:
    """Whether a product sums over the axis, and every dimension that holds it holds nothing else."""
    dims = [d for t in layout.tensors(axis) for d in layout.patterns[t] if axis in {x.name for x in leaves(d)}]
    single = all(leaf.name == axis for d in dims for leaf in leaves(d)) and all(
        len([p for p in d.parts if not isinstance(p, Leaf) or p.name or p.size > 1]) == 1 for d in dims
    )
    return single and bool(layout.readers(axis))
