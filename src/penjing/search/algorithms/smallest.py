"""The smallest value of one coordinate that will do: a grid first, then the gap below the smallest is halved.

That smaller values do worse is not taken for granted on the grid, whose values are all tried; within the gap it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.search.algorithm import GRID, Point, Space, Told, halved, least


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """`grid` are shares of the range, tried first, and values that are no further apart than `close` are one."""

    grid: tuple[float, ...] = GRID
    close: float = 0.01

    def ask(self, space: Space, told: Sequence[Told]) -> Point | None:
        """The next of the grid; then the middle between the smallest that will do and the largest below it."""
        ((name, (low, high)),) = space.items()
        if len(told) < len(self.grid):
            return {name: low + self.grid[len(told)] * (high - low)}
        tried = {t.point[name]: t.holds for t in told}
        inside = min((v for v, holds in tried.items() if holds), default=high)
        outside = max((v for v in tried if v < inside), default=low)
        return halved(name, inside, outside, self.close)

    def best(self, told: Sequence[Told]) -> int:
        """The smallest that will do; else the one with the least figure."""
        will = [i for i, t in enumerate(told) if t.holds]
        return min(will, key=lambda i: next(iter(told[i].point.values())), default=least(told))
