"""One fraction for every axis, as large as the budget allows."""

from collections.abc import Mapping, Sequence

from penjing.core import Axis, Budget, Checkpoint, Layout
from penjing.errors import BudgetError
from penjing.layouts import costs
from penjing.maths.rounding import smallest, to_multiple
from penjing.select.steps import steps_of

STEPS = 60


def sizes(
    layout: Layout, axes: Sequence[Axis], budget: Budget, *, model: Checkpoint, multiple: int | None = None
) -> dict[str, int]:
    """Axis -> how many units stay: the same fraction of each, rounded to a multiple that hardware likes.

    Of `keep` the nearest size is taken; a limit on parameters, macs or bytes is never exceeded, and the largest
    fraction that meets it is found by bisection. `multiple` is the rounding for axes that a product sums over and
    that fill a dimension alone; without it `maths.rounding.liked` decides, axis by axis. All other axes (heads,
    experts) are cut in single units. Axes of one kind that follow the same config entry get the same fraction of
    the same size, so they end equal.

    Raises:
        BudgetError: the limit is below what the smallest sizes reach, or is in a unit that needs measuring.
    """
    steps = steps_of(layout, axes, multiple)
    if budget.keep is not None:
        for a in axes:
            _check_fraction(a, budget.keep, steps[a.name])
        return _at(axes, steps, budget.keep)
    full = {a.name: a.size for a in axes}
    if cost(layout, full, budget, model) <= budget.limit:
        return full
    least = _at(axes, steps, 0.0)
    found = cost(layout, least, budget, model)
    if found > budget.limit:
        raise BudgetError(
            f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {found:,.0f} remain with each of the "
            f"{len(axes)} chosen axes at its smallest size; choose more axes or allow at least {found:,.0f}"
        )
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        fits = cost(layout, _at(axes, steps, middle), budget, model) <= budget.limit
        low, high = (middle, high) if fits else (low, middle)
    return _at(axes, steps, low)


def _at(axes: Sequence[Axis], steps: Mapping[str, int], fraction: float) -> dict[str, int]:
    return {a.name: to_multiple(fraction * a.size, steps[a.name], full=a.size, least=a.least) for a in axes}


def _check_fraction(axis: Axis, keep: float, multiple: int) -> None:
    least = smallest(multiple, full=axis.size, least=axis.least)
    if keep * axis.size < least - multiple / 2:
        leaves_what = "none" if axis.least <= multiple else f"fewer than the {axis.least} it needs"
        raise BudgetError(
            f"keeping {keep:g} of {axis.size} units in multiples of {multiple} leaves {leaves_what}; "
            f"keep at least {least / axis.size:.3f} ({axis.name})"
        )


def cost(layout: Layout, counts: Mapping[str, int], budget: Budget, model: Checkpoint) -> float:
    """What a model with these sizes takes, in the unit of a budget.

    Raises:
        BudgetError: the unit needs measuring.
    """
    if budget.unit == "parameters":
        return costs.parameters(layout, counts)
    if budget.unit == "bytes":
        return costs.weight_bytes(layout, model.dtypes, counts)
    if budget.unit == "macs":
        tokens = any(w.tokens for w in layout.work)
        return costs.macs_per_token(layout, counts) if tokens else costs.macs(layout, counts)
    raise BudgetError(
        f"a budget in {budget.unit} needs measuring, which this choice does not do; "
        "give keep, parameters, macs or bytes"
    )
