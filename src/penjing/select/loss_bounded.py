"""How far each axis can be cut before a figure of the running model moves by more than a bound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite

from penjing.core import Axis
from penjing.errors import BudgetError, DataError
from penjing.maths.rounding import smallest, to_multiple

Sizes = Mapping[str, int]
STEPS = 6
ROUNDS = 10
"""Bounds that are tried for a budget: the last two lie apart by a factor of 1.014."""
_WIDEST = 1e-6
"""The smallest bound that is tried, as a share of the largest that matters."""


@dataclass(frozen=True, kw_only=True)
class Searched:
    """Sizes that keep a figure within a bound: the figure before, and after each axis in the order of the search."""

    sizes: dict[str, int]
    start: float
    after: dict[str, float]
    bound: float

    @property
    def moved(self) -> float:
        """The most that one axis moved the figure, in either direction."""
        values = [self.start, *self.after.values()]
        return max((abs(b - a) for a, b in pairwise(values)), default=0.0)


def search(
    axes: Sequence[Axis], value: Callable[[Sizes], float], *, bound: float, total: float = inf,
    steps: int = STEPS, multiples: Mapping[str, int] | None = None, signed: bool = True,
) -> Searched:  # fmt: skip
    """The sizes found axis by axis, from the first of `axes` to the last, each behind those that are cut already.

    `value` is the figure at some sizes, where an axis that is not named is whole. Of each axis `steps` sizes are
    tried, each half-way between the largest that moved the figure too far and the smallest that did not: by more than
    `bound` since the axis before, or by more than `total` since the start. `signed` means that only an increase
    counts. An axis with no size that serves stays whole. Sizes are multiples of `multiples` (axis name -> step,
    else 1), never 0 and never below what an axis needs.

    Source: Shen, arXiv:2603.08100, as its code has it. Deviation: `total`; the paper bounds each block alone.

    Raises:
        BudgetError: `steps` is below 1.
        DataError: the figure of the whole model is not finite.
    """
    if steps < 1:
        raise BudgetError(f"found {steps} steps of search, needed is at least 1; give more")
    start = previous = value({})
    if not isfinite(start):
        raise DataError(f"the model gives {start} before anything is cut, and needed is a number; check model and data")
    sizes: dict[str, int] = {}
    after: dict[str, float] = {}

    def moved(now: float, since: float) -> float:
        return now - since if signed else abs(now - since)

    for axis in axes:
        multiple = (multiples or {}).get(axis.name, 1)
        low, high, reached = 0, axis.size, previous
        for _ in range(steps):
            middle = to_multiple((low + high) // 2, multiple, full=axis.size, least=axis.least)
            if not low < middle < high:
                break
            now = value({**sizes, axis.name: middle})
            # A figure that is not a number fails both.
            if moved(now, previous) <= bound and moved(now, start) <= total:
                high, reached = middle, now
            else:
                low = middle
        sizes[axis.name], after[axis.name], previous = high, reached, reached
    return Searched(sizes=sizes, start=start, after=after, bound=bound)


def meet(
    axes: Sequence[Axis], run: Callable[[float], Searched], fits: Callable[[Sizes], bool], *,
    most: float | None = None, rounds: int = ROUNDS, multiples: Mapping[str, int] | None = None,
) -> Searched:  # fmt: skip
    """The search under (nearly) the smallest bound whose sizes fit, then made to fit as closely as they can.

    `run` searches under a bound, `fits` tells whether sizes do. The bound is found by bisection of its logarithm;
    between the sizes of the smallest bound that serves and those of the largest that does not, the last bit is shared
    out in proportion, which no run of the model has checked. `most` is a bound that must not be exceeded.

    Raises:
        BudgetError: even `most`, or no bound at all, does not give sizes that fit.
    """
    whole = {a.name: a.size for a in axes}
    best = run(inf if most is None else most)
    if fits(whole):
        return Searched(sizes=whole, start=best.start, after=dict.fromkeys(whole, best.start), bound=0.0)
    if not fits(best.sizes):
        share = sum(best.sizes.values()) / sum(whole.values())
        under = "without any bound" if most is None else f"under a bound of {most:g} for each axis"
        raise BudgetError(
            f"the search {under} leaves {share:.3f} of the units, which is more than the budget allows; "
            "allow a larger budget, a larger bound or more steps of search"
        )
    high = best.moved if most is None else most
    low, large = high * _WIDEST, whole
    for _ in range(rounds):
        middle = (low * high) ** 0.5
        found = run(middle)
        if fits(found.sizes):
            best, high = found, middle
        else:
            low, large = middle, found.sizes
    return Searched(
        sizes=_between(axes, best.sizes, large, fits, multiples or {}), start=best.start, after=best.after,
        bound=best.bound,
    )  # fmt: skip


def _between(
    axes: Sequence[Axis], small: Sizes, large: Sizes, fits: Callable[[Sizes], bool], multiples: Mapping[str, int]
) -> dict[str, int]:
    """The sizes furthest from `small`, which fit, on the way to `large`, which do not."""

    def at(share: float) -> dict[str, int]:
        wanted = {a.name: small[a.name] + share * (large[a.name] - small[a.name]) for a in axes}
        return {a.name: to_multiple(wanted[a.name], multiples.get(a.name, 1), full=a.size, least=a.least) for a in axes}

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(at(middle)) else (low, middle)
    return at(low) if fits(at(low)) else dict(small)


def least_sizes(axes: Sequence[Axis], multiples: Mapping[str, int]) -> dict[str, int]:
    """Axis -> the smallest size that any search can give it."""
    return {a.name: smallest(multiples.get(a.name, 1), full=a.size, least=a.least) for a in axes}
