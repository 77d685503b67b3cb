"""What share of its numbers each group of matrices keeps, by what thinning it alone was measured to add to the loss."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from penjing.core import Budget, Checkpoint, Edit, Layout, Live, Plan
from penjing.errors import BudgetError, PenjingError, nearest
from penjing.select.knapsack import pick
from penjing.select.ranks import alone
from penjing.select.uniform import cost
from penjing.select.weights import Matrix

BY = ("matrix", "block", "kind")
FRACTIONS = (0.75, 0.5, 0.25)

Edits = Callable[[Sequence[str], float], Sequence[Edit]]
"""From tensors and a share of their numbers to the edits that leave them so many."""
Takes = Callable[[str, float], float]
"""From a tensor and such a share to the share of the budget's unit that is left of it."""


def grouped(layout: Layout, chosen: Sequence[Matrix], by: str) -> dict[str, list[str]]:
    """Group -> its tensors: each alone, those of a block, or those of one name in all blocks.

    Raises:
        PenjingError: there is no such way to group.
    """
    if by not in BY:
        raise PenjingError(f"matrices are not grouped by '{by}'{nearest(by, BY)}; choose {', '.join(BY)}")
    out: dict[str, list[str]] = {}
    for m in chosen:
        out.setdefault(_group(layout, m.tensor, by), []).append(m.tensor)
    return out


def _group(layout: Layout, tensor: str, by: str) -> str:
    if by == "kind":
        return re.sub(r"\.\d+\.", ".*.", tensor)
    if by == "block":
        for blocks in layout.blocks:
            if found := re.match(rf"{re.escape(blocks.path)}\.\d+(?=\.)", tensor):
                return found[0]
    return tensor


@dataclass(frozen=True, kw_only=True)
class MeasuredShares:
    """Every group thinned alone to every fraction, on the running model; increases are taken to add up."""

    groups: Mapping[str, Sequence[str]]
    increases: Mapping[str, Mapping[float, float]]

    @classmethod
    def of(
        cls, live: Live, groups: Mapping[str, Sequence[str]], edits: Edits, fractions: Sequence[float],
        *, objective: str, examples: Sequence[int] | None,
    ) -> "MeasuredShares":  # fmt: skip
        """Measure: one run of the examples for each group and fraction, and one of the whole model."""
        before = live.value(Plan(), objective=objective, examples=examples)
        found = {
            name: {
                f: live.value(Plan(tuple(edits(tensors, f))), objective=objective, examples=examples) - before
                for f in sorted(fractions, reverse=True)
            }
            for name, tensors in groups.items()
        }
        return cls(groups=groups, increases=found)

    def shares(
        self, layout: Layout, chosen: Sequence[Matrix], takes: Takes, budget: Budget, model: Checkpoint
    ) -> dict[str, float]:
        """Tensor -> the share that it keeps, 1 for whole: the least summed increase within the budget.

        Of `keep` it is the share of all numbers of the chosen matrices; of `loss` the smallest model within it.

        Raises:
            BudgetError: even the smallest fraction everywhere is above the budget.
        """
        unit = Budget(parameters=1) if budget.unit in ("keep", "loss") else budget
        each = {m.tensor: alone(layout, m, unit, model) for m in chosen}
        options = {g: (1.0, *self.increases[g]) for g in self.groups}
        sizes = [[sum(takes(t, f) * each[t] for t in self.groups[g]) for f in fs] for g, fs in options.items()]
        losses = [[self.increases[g].get(f, 0.0) for f in fs] for g, fs in options.items()]
        whole = sum(each.values())
        if budget.unit == "loss":
            found = pick(sizes, [losses], [budget.limit])
        else:
            rest = 0.0 if budget.keep is not None else cost(layout, {}, budget, model) - whole
            limit = budget.limit * whole if budget.keep is not None else budget.limit - rest
            found = pick(losses, [sizes], [limit])
        if found is None:
            least = math.fsum(min(s) for s in sizes) / whole
            raise BudgetError(
                f"{budget} is below what the smallest fraction of each of {len(sizes)} groups leaves ({least:.3g} of "
                "their cost); give smaller fractions or allow more"
            )
        return {t: options[g][i] for g, i in zip(options, found, strict=True) for t in self.groups[g]}

    def told(self) -> dict[str, dict[str, float]]:
        """The profile, for `made`: group -> fraction -> increase."""
        return {g: {f"{f:g}": float(f"{v:.4g}") for f, v in each.items()} for g, each in self.increases.items()}
