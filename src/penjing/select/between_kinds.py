"""How a budget is shared between kinds of axes that lose different shares of their units, such as heads and neurons."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from penjing.core import Axis, Budget, Checkpoint, Layout
from penjing.errors import BudgetError
from penjing.layouts import costs
from penjing.maths.rounding import smallest
from penjing.select.allocation import allocate
from penjing.select.steps import step_of
from penjing.select.uniform import cost

STEPS = 40
Kinds = Mapping[str, Sequence[Axis]]


def by_kind(axes: Sequence[Axis]) -> dict[str, list[Axis]]:
    """Kind -> its axes, in order."""
    out: dict[str, list[Axis]] = {}
    for axis in axes:
        out.setdefault(axis.kind, []).append(axis)
    return out


def weights(layout: Layout, kinds: Kinds) -> dict[str, float]:
    """Kind -> the parameters that hang on its units, all of them together."""
    whole = costs.parameters(layout)

    def of(axis: Axis) -> float:
        return axis.size * (whole - costs.parameters(layout, {axis.name: axis.size - 1}))

    return {kind: float(sum(map(of, axes))) for kind, axes in kinds.items()}


def removed(
    parameters: Mapping[str, float], rates: Mapping[str, float], most: Mapping[str, float], total: float
) -> dict[str, float]:
    """Kind -> the share of its units that goes: in proportion to `rates`, `total` parameters in all.

    No kind loses more than `most`; what it cannot lose, the others lose. With parameters A and M of two kinds and rates
    1 and g, the shares are v = total / (A + g M) and g v.

    >>> removed({"heads": 20.0, "neurons": 40.0}, {"heads": 1.0, "neurons": 2.0}, {"heads": 1.0, "neurons": 1.0}, 25.0)
    {'heads': 0.25, 'neurons': 0.5}
    """
    full: dict[str, float] = {}
    while True:
        open_kinds = [k for k in rates if k not in full]
        left = max(0.0, total - sum(share * parameters[k] for k, share in full.items()))
        weight = sum(rates[k] * parameters[k] for k in open_kinds)
        shares = {k: left * rates[k] / weight if weight else 0.0 for k in open_kinds}
        over = {k: most[k] for k in open_kinds if shares[k] > most[k]}
        if not over:
            found = {**full, **shares}
            return {k: found[k] for k in rates}
        full |= over


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Who shares a budget: several kinds of axes, each losing its units at its own rate (2 loses twice the share of 1).

    `how` is how the axes of one kind share what falls to it (`select.allocation`), `multiple` the rounding of sizes.
    `opens` tells whether sizes of some axes can be held, all others whole; it is asked where axes of a kind end equal.
    """

    layout: Layout
    model: Checkpoint
    kinds: Kinds
    scores: Mapping[str, Tensor]
    rates: Mapping[str, float]
    how: str = "uniform"
    multiple: int | None = None
    opens: Callable[[Mapping[str, int]], bool] = lambda sizes: True

    def sizes(self, budget: Budget) -> dict[str, int]:
        """Axis -> how many units stay.

        Of `keep`, the parameters that hang on the units are kept to that share; a limit is met. Kinds with large units
        are rounded first, to the nearest size that can be held, and those with small ones make up for it.

        Raises:
            BudgetError: the limit is below what the smallest sizes reach, or is in a unit that needs measuring.
        """
        axes = [a for group in self.kinds.values() for a in group]
        if len(self.kinds) == 1:
            found = self._allocated(axes, budget)
            if self.how != "uniform" or self.opens(found):
                return found
        if budget.keep is not None:
            return self._at(budget.keep)
        full = {a.name: a.size for a in axes}
        if cost(self.layout, full, budget, self.model) <= budget.limit:
            return full
        best = self._at(0.0)
        if (least := cost(self.layout, best, budget, self.model)) > budget.limit:
            raise BudgetError(
                f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {least:,.0f} remain with each of "
                f"the {len(axes)} chosen axes at its smallest size; choose more axes or allow at least {least:,.0f}"
            )
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            trial = self._at(middle)
            fits = cost(self.layout, trial, budget, self.model) <= budget.limit
            low, high, best = (middle, high, trial) if fits else (low, middle, best)
        return best

    def whole(self, sizes: Mapping[str, int]) -> Iterator[str]:
        """What to say of each kind that stays whole while others are cut."""
        cut = {k: sum(sizes[a.name] for a in axes) / self._units[k] for k, axes in self.kinds.items()}
        gone = sum(self._held[k] * (1 - share) for k, share in cut.items())
        due = removed(self._held, self.rates, dict.fromkeys(self.kinds, 1.0), gone)
        for kind in (k for k, share in cut.items() if share == 1 and gone):
            yield (
                f"{kind} stay whole: {due[kind]:.2g} of them were to go, and no smaller size that the model can have "
                "is nearer to that; the others go further instead"
            )

    @cached_property
    def _held(self) -> dict[str, float]:
        return weights(self.layout, self.kinds)

    @cached_property
    def _units(self) -> dict[str, int]:
        return {kind: sum(a.size for a in axes) for kind, axes in self.kinds.items()}

    @cached_property
    def _most(self) -> dict[str, float]:
        """Kind -> the largest share that its smallest sizes let go."""
        least = {
            kind: sum(smallest(step_of(self.layout, a, self.multiple), full=a.size, least=a.least) for a in axes)
            for kind, axes in self.kinds.items()
        }
        return {kind: 1 - least[kind] / self._units[kind] for kind in self.kinds}

    def _at(self, keep: float) -> dict[str, int]:
        """Sizes kind by kind, the one with the largest units first: each behind what the ones before really lost."""
        left = (1 - keep) * sum(self._held.values())
        out: dict[str, int] = {}
        order = sorted(self.kinds, key=lambda k: -self._held[k] / self._units[k])
        for place, kind in enumerate(order):
            rest = order[place:]
            held, rates, most = ({k: of[k] for k in rest} for of in (self._held, self.rates, self._most))
            share = removed(held, rates, most, left)[kind]
            found = self._nearest(kind, 1 - share, out)
            out |= found
            left -= held[kind] * (1 - sum(found.values()) / self._units[kind])
        return out

    def _nearest(self, kind: str, keep: float, others: Mapping[str, int]) -> dict[str, int]:
        """The sizes of a kind's axes nearest to a share of them that, with those of the other kinds, can be held."""
        axes, most = self.kinds[kind], max(a.size for a in self.kinds[kind])
        shares = sorted((n / most for n in range(1, most + 1)), key=lambda share: (abs(share - keep), -share))
        for share in (keep, *shares):
            found = self._allocated(axes, Budget(keep=max(share, 1 - self._most[kind])))
            if self.how != "uniform" or self.opens({**others, **found}):
                return found
        return {a.name: a.size for a in axes}

    def _allocated(self, axes: Sequence[Axis], budget: Budget) -> dict[str, int]:
        return allocate(self.layout, axes, budget, self.scores, how=self.how, model=self.model, multiple=self.multiple)
