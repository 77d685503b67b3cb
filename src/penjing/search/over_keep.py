"""The smallest, or the largest, share kept whose plan holds a limit: tried on a grid first, then between.

That a smaller share has a larger (or smaller) figure is not taken for granted: all tries are told, and which of them
speak against it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from penjing.core import Plan

GRID = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)
CLOSE = 0.01
"""Shares that are no further apart are not told apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Try:
    """What came of one share: a `figure` that is to stay at or below a limit, or `why` there is no plan of it."""

    keep: float
    plan: Plan | None = None
    figure: float | None = None
    why: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def holds(self, limit: float) -> bool:
        """Whether there is a plan, and its figure is within the limit."""
        return self.figure is not None and self.figure <= limit

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        told = {"keep": self.keep, "figure": self.figure, "why": self.why or None, **self.more}
        return {k: v for k, v in told.items() if v is not None}


Attempt = Callable[[float], Try]


def smallest(attempt: Attempt, limit: float, *, grid: Sequence[float] = GRID, close: float = CLOSE) -> list[Try]:
    """All tries, the smallest that holds the limit last, or the one with the smallest figure where none does.

    Every share of the grid is tried. From the smallest that holds on, the gap below it is halved until it is `close`.
    """
    tries = {keep: attempt(keep) for keep in grid}
    inside = min((k for k, t in tries.items() if t.holds(limit)), default=1.0)
    outside = max((k for k in tries if k < inside), default=0.0)
    return _between(attempt, limit, tries, inside, outside, close)


def largest(attempt: Attempt, limit: float, *, grid: Sequence[float] = GRID, close: float = CLOSE) -> list[Try]:
    """All tries, the largest that holds the limit last, or the one with the smallest figure where none does.

    The grid is tried from its largest share down to the first that holds; then the gap above that is halved.
    """
    tries: dict[float, Try] = {}
    for keep in grid:
        tries[keep] = attempt(keep)
        if tries[keep].holds(limit):
            outside = min((k for k in tries if k > keep), default=1.0)
            return _between(attempt, limit, tries, keep, outside, close)
    return _last(tries, limit, None)


def _between(
    attempt: Attempt, limit: float, tries: dict[float, Try], inside: float, outside: float, close: float
) -> list[Try]:
    while abs(inside - outside) > close:
        middle = round((inside + outside) / 2, 6)
        tries[middle] = attempt(middle)
        if tries[middle].holds(limit):
            inside = middle
        else:
            outside = middle
    return _last(tries, limit, inside)


def _last(tries: dict[float, Try], limit: float, inside: float | None) -> list[Try]:
    """The tries, the largest share first, with the one that is taken at the end."""
    if inside not in tries:
        known = [t for t in tries.values() if t.figure is not None]
        inside = min(known, key=lambda t: t.figure or 0.0).keep if known else next(iter(tries))
    return [*(tries[k] for k in sorted(tries, reverse=True) if k != inside), tries[inside]]


def uneven(tries: Iterable[Try], *, rising: bool) -> tuple[Try, Try] | None:
    """The first two neighbours, larger share first, whose figures do not go the way that is expected.

    `rising` says that a larger share is expected to have the larger figure.
    """
    known = sorted((t for t in tries if t.figure is not None), key=lambda t: -t.keep)
    for larger, smaller in pairwise(known):
        gap = (larger.figure or 0.0) - (smaller.figure or 0.0)
        if (gap < 0) if rising else (gap > 0):
            return larger, smaller
    return None
