"""The share kept whose plan holds a limit, sought by a search algorithm.

That a smaller share has a larger (or smaller) figure is not taken for granted: all tries are told, and which of them
speak against it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from penjing.core import Plan
from penjing.search.algorithm import Point, Told, search
from penjing.search.algorithms import ALGORITHMS


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


def over_keep(attempt: Attempt, limit: float, *, by: str) -> list[Try]:
    """All tries by the algorithm of this name, the largest share first, and at the end the one that is taken.

    That one holds the limit, or has the smallest figure where none does.

    Raises:
        PenjingError: there is no such algorithm.
    """

    def tried(point: Point) -> tuple[Told, Try]:
        found = attempt(point["keep"])
        return Told(point=point, figure=found.figure, holds=found.holds(limit)), found

    found = search(ALGORITHMS.build(by), {"keep": (0.0, 1.0)}, tried)
    taken = found.results[found.taken]
    return [*sorted((t for t in found.results if t is not taken), key=lambda t: -t.keep), taken]


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
