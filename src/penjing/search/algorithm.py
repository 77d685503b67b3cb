"""What a search algorithm is: from what was tried, the next point to try.

An algorithm keeps nothing between one question and the next, so a search that was stopped goes on from its list of
tries.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Point = Mapping[str, float]
Space = Mapping[str, tuple[float, float]]
"""Name of a coordinate -> (least, most)."""
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of a point: a figure, lower being better (None if it could not be tried), and whether it will do."""

    point: Point
    figure: float | None
    holds: bool


class Algorithm(Protocol):
    """A frozen dataclass whose fields are its settings; the file that defines it as `Algorithm` may say its source."""

    def ask(self, space: Space, told: Sequence[Told]) -> Point | None:
        """The next point to try, or None at the end."""
        ...

    def best(self, told: Sequence[Told]) -> int:
        """Which of the tries is taken; `told` is not empty."""
        ...


@dataclass(frozen=True, kw_only=True)
class Found(Generic[Result]):
    """All that was tried, in the order of trying, and the number of the one that is taken."""

    results: tuple[Result, ...]
    taken: int


def search(
    algorithm: Algorithm, space: Space, attempt: Callable[[Point], tuple[Told, Result]], *, most: int = 1000
) -> Found[Result]:
    """Ask, try and tell until the algorithm has no more points, or `most` were tried."""
    told: list[Told] = []
    results: list[Result] = []
    while len(told) < most and (point := algorithm.ask(space, told)) is not None:
        one, result = attempt(point)
        told.append(one)
        results.append(result)
    return Found(results=tuple(results), taken=algorithm.best(told))


GRID = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)
"""Shares of a range that are tried before the gap between two of them is halved."""


def halved(name: str, one: float, other: float, close: float) -> Point | None:
    """The middle of a gap; None where it is no wider than `close`."""
    return None if abs(one - other) <= close else {name: round((one + other) / 2, 6)}


def least(told: Sequence[Told]) -> int:
    """The first of those with the least figure; of none with a figure, the first."""
    known = [i for i, t in enumerate(told) if t.figure is not None]
    return min(known, key=lambda i: told[i].figure or 0.0, default=0)
