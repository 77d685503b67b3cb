"""The sizes that a group of axes can have, and what each adds to the loss when only a few of them were measured."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from penjing.core import Axis
from penjing.errors import DataError
from penjing.maths.rounding import smallest, to_multiple

MOST = 48
"""How many sizes of one group are weighed; of more, as many lie evenly between."""

Sizes = dict[str, int]
Curve = Sequence[tuple[float, float]]
"""(share of the units kept, increase of the loss), from the whole down."""


def together(axes: Sequence[Axis], *, even: bool) -> dict[str, list[Axis]]:
    """Name -> axes that get one share: with `even` those of a kind that follow the same config entries.

    Axes that no entry follows are alone, for no config holds them to one size.
    """
    out: dict[tuple[str, ...], list[Axis]] = {}
    for axis in axes:
        key = (axis.kind, *axis.entries) if even and axis.entries else (axis.name,)
        out.setdefault(key, []).append(axis)
    return {g[0].name if len(g) == 1 else f"{g[0].name} to {g[-1].name}": g for g in out.values()}


def sizes_between(group: Sequence[Axis], steps: Mapping[str, int]) -> list[Sizes]:
    """The sizes that a group can have, from whole to smallest: every axis at the same share, in its own steps."""
    widest = max(group, key=lambda a: a.size // steps[a.name])
    least = smallest(steps[widest.name], full=widest.size, least=widest.least)
    spots = [widest.size, *(n for n in range(widest.size - 1, least - 1, -1) if n % steps[widest.name] == 0)]
    if spots[-1] != least:
        spots.append(least)
    chosen = spots if len(spots) <= MOST else [spots[round(i * (len(spots) - 1) / (MOST - 1))] for i in range(MOST)]
    found: list[Sizes] = []
    for n in chosen:
        at = {
            a.name: to_multiple(n / widest.size * a.size, steps[a.name], full=a.size, least=a.least) for a in group
        }
        if at not in found:
            found.append(at)
    return found


def share(group: Sequence[Axis], sizes: Mapping[str, int]) -> float:
    """The share of a group's units that stays at some sizes, above 0 and at most 1."""
    return sum(sizes[a.name] for a in group) / sum(a.size for a in group)


def nearest(group: Sequence[Axis], found: Sequence[Sizes], fractions: Sequence[float]) -> list[Sizes]:
    """The sizes nearest to some fractions, and the smallest, none of them the whole; the largest first."""
    cut = [r for r in found if share(group, r) < 1]
    wanted = [min(cut, key=lambda r, f=f: abs(share(group, r) - f)) for f in fractions] if cut else []
    return [r for r in cut if r in wanted or r is cut[-1]]


def curve(points: Curve) -> list[tuple[float, float]]:
    """Measured points with the whole in front, and no size better than a larger one: what falls is taken as noise.

    >>> curve([(0.75, -0.1), (0.5, 0.3), (0.25, 0.2)])
    [(1.0, 0.0), (0.75, 0.0), (0.5, 0.3), (0.25, 0.3)]

    Raises:
        DataError: an increase is not a number.
    """
    out, high = [(1.0, 0.0)], 0.0
    for at, increase in sorted(points, reverse=True):
        if increase != increase:
            raise DataError(f"the model gives no number with {at:.0%} of some units; check the model and the data")
        high = max(high, increase)
        out.append((at, high))
    return out


def height(points: Curve, at: float) -> float:
    """The increase at a share, on straight lines between the points of a curve.

    >>> height([(1.0, 0.0), (0.5, 0.2)], 0.75)
    0.1
    """
    for (right, low), (left, high) in pairwise(points):
        if left <= at <= right:
            return low + (high - low) * (right - at) / (right - left)
    return points[-1][1] if at < points[-1][0] else points[0][1]


def filled(
    groups: Mapping[str, Sequence[Axis]], curves: Mapping[str, Curve], steps: Mapping[str, int], sizes: Sizes,
    fits: Callable[[Sizes], bool],
) -> Sizes:  # fmt: skip
    """The sizes with every single step that still fits, the one that takes most off the loss first."""
    out, open_groups = dict(sizes), dict(groups)
    while open_groups:
        trials = {}
        for name, group in open_groups.items():
            more = {a.name: min(a.size, out[a.name] + steps[a.name]) for a in group}
            if more != {a.name: out[a.name] for a in group}:
                trials[name] = more
        fitting = {n: more for n, more in trials.items() if fits({**out, **more})}
        open_groups = {n: open_groups[n] for n in fitting}
        if fitting:
            won = max(fitting, key=lambda n: _gain(groups[n], curves[n], out, fitting[n]))
            out |= fitting[won]
    return out


def _gain(group: Sequence[Axis], points: Curve, before: Sizes, after: Sizes) -> float:
    return height(points, share(group, before)) - height(points, share(group, after))
