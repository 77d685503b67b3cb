"""One fraction for every axis, as large as the budget allows."""

from collections.abc import Mapping, Sequence

from penjing.core import Axis, Budget, Checkpoint, Layout
from penjing.core.pattern import Leaf, leaves
from penjing.errors import BudgetError
from penjing.layouts import costs
from penjing.maths.rounding import liked, smallest, to_multiple

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
    steps = {a.name: step_of(layout, a, multiple) for a in axes}
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


def step(layout: Layout, axis: Axis) -> int:
    """The rounding that an axis gets by itself: `liked` when a product sums over it alone, else 1."""
    return liked(axis.size) if _alone(layout, axis.name) else 1


def step_of(layout: Layout, axis: Axis, multiple: int | None) -> int:
    """The rounding of an axis: `multiple` where one is given and the axis can be rounded, else its own.

    Raises:
        BudgetError: `multiple` is below 1.
    """
    if multiple is None:
        return step(layout, axis)
    if multiple < 1:
        raise BudgetError(f"sizes cannot be multiples of {multiple}; give a multiple of 1 or more")
    return multiple if _alone(layout, axis.name) else 1


def _alone(layout: Layout, axis: str) -> bool:
    """Whether a product sums over the axis, and every dimension that holds it holds nothing else."""
    dims = [d for t in layout.tensors(axis) for d in layout.patterns[t] if axis in {x.name for x in leaves(d)}]
    single = all(leaf.name == axis for d in dims for leaf in leaves(d)) and all(
        len([p for p in d.parts if not isinstance(p, Leaf) or p.name or p.size > 1]) == 1 for d in dims
    )
    return single and bool(layout.readers(axis))


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
        f"a budget in {budget.unit} needs measuring, which a uniform choice does not do; "
        "give keep, parameters, macs or bytes"
    )
