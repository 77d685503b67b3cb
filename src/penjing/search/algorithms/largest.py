"""The largest value of one coordinate that will do: down a grid to the first, then the gap above it is halved."""

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.search.algorithm import GRID, Point, Space, Told, halved, least


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """`grid` are shares of the range, from above, and values that are no further apart than `close` are one."""

    grid: tuple[float, ...] = GRID
    close: float = 0.01

    def ask(self, space: Space, told: Sequence[Told]) -> Point | None:
        """The next of the grid until one will do; then the middle between the largest that will and the one above."""
        ((name, (low, high)),) = space.items()
        tried = {t.point[name]: t.holds for t in told}
        inside = max((v for v, holds in tried.items() if holds), default=None)
        if inside is None:
            return {name: low + self.grid[len(told)] * (high - low)} if len(told) < len(self.grid) else None
        outside = min((v for v in tried if v > inside), default=high)
        return halved(name, inside, outside, self.close)

    def best(self, told: Sequence[Told]) -> int:
        """The largest that will do; else the one with the least figure."""
        will = [i for i, t in enumerate(told) if t.holds]
        return max(will, key=lambda i: next(iter(told[i].point.values())), default=least(told))
