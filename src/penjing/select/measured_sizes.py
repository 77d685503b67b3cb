"""Sizes by what cutting each group of axes alone was measured to add to a figure of the running model."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from penjing.core import Axis, Budget, Checkpoint, Keep, Layout, Live, Plan
from penjing.maths.topk import best
from penjing.select import size_grid
from penjing.select.knapsack import Option, solve
from penjing.select.uniform import cost

FRACTIONS = (0.75, 0.5, 0.25)
ROUNDS = 8
"""How often a budget of loss is tightened until the model itself keeps to it."""

Figure = Callable[[Mapping[str, int]], float]


def figure_of(
    live: Live, scores: Mapping[str, Tensor], *, objective: str, examples: Sequence[int] | None = None
) -> Figure:
    """What the running model's objective is at some sizes, where each axis keeps the units with the best scores."""

    def figure(at: Mapping[str, int]) -> float:
        cut = {a: n for a, n in at.items() if n < len(scores[a])}
        plan = Plan(tuple(Keep(a, best(scores[a], n)) for a, n in cut.items()))
        return live.value(plan, objective=objective, examples=examples)

    return figure


class MeasuredSizes:
    """What each group adds to the figure when it alone is cut, at its smallest size and at some shares kept.

    Increases are taken to add up; between measured shares they are read off straight lines.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[Axis]], steps: Mapping[str, int], figure: Figure,
        fractions: Sequence[float] = FRACTIONS,
    ) -> None:  # fmt: skip
        self.groups, self.steps, self.figure = groups, steps, figure
        self.whole = figure({})
        self.points: dict[str, list[tuple[float, float]]] = {}
        self.options: dict[str, list[Option]] = {}
        self.curves: dict[str, list[tuple[float, float]]] = {}
        for name, group in groups.items():
            found = size_grid.sizes_between(group, steps)
            tried = size_grid.nearest(group, found, fractions)
            self.points[name] = [(size_grid.share(group, r), figure(r) - self.whole) for r in tried]
            self.curves[name] = size_grid.curve(self.points[name])
            self.options[name] = [Option(sizes=r, loss=self._height(name, r)) for r in found]

    def sizes(self, layout: Layout, budget: Budget, model: Checkpoint) -> dict[str, int]:
        """Axis -> how many units stay, with the smallest summed increase under the budget.

        Raises:
            BudgetError: the limit is below what the smallest sizes reach, or is in a unit that needs measuring.
        """
        if budget.loss is not None:
            return self._within(layout, budget.loss, model)
        found = solve(layout, self.options, budget, model=model)
        most = self._most(budget)

        def fits(at: Mapping[str, int]) -> bool:
            if budget.keep is None:
                return cost(layout, at, budget, model) <= budget.limit
            return all(sum(at[a] for a in names) <= most[kind] for kind, names in self._kinds.items())

        return size_grid.filled(self.groups, self.curves, self.steps, found, fits)

    def facts(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """What a plan says of it; shares are of the units kept, the rest in the figure's unit."""
        predicted = sum(self._height(name, counts) for name in self.groups)
        return {
            "start": self.whole,
            "increase": {name: [[round(s, 4), x] for s, x in points] for name, points in self.points.items()},
            "predicted": predicted,
            "found": self.figure(counts) - self.whole,
            "uncuttable": [name for name, points in self.points.items() if not points],
        }

    def _within(self, layout: Layout, limit: float, model: Checkpoint) -> dict[str, int]:
        """The fewest parameters whose increase, all cuts together, was found to be within the limit; else the whole."""
        allowed = limit
        for _ in range(ROUNDS):
            counts = solve(layout, self.options, Budget(loss=allowed), model=model)
            found = self.figure(counts) - self.whole
            if found <= limit:
                return counts
            allowed *= min(0.8, limit / found) if found == found else 0.5
        return {a.name: a.size for group in self.groups.values() for a in group}

    def _height(self, name: str, at: Mapping[str, int]) -> float:
        return size_grid.height(self.curves[name], size_grid.share(self.groups[name], at))

    @cached_property
    def _kinds(self) -> dict[str, list[str]]:
        out: dict[str, list[str]] = {}
        for axis in (a for group in self.groups.values() for a in group):
            out.setdefault(axis.kind, []).append(axis.name)
        return out

    def _most(self, budget: Budget) -> dict[str, int]:
        full = {a.name: a.size for group in self.groups.values() for a in group}
        keep = budget.keep or 1.0
        return {kind: round(keep * sum(full[a] for a in names)) for kind, names in self._kinds.items()}
