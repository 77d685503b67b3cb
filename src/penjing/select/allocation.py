"""How many units each axis keeps: the same share of all, or what one ranking over all of them gives."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from penjing.core import Axis, Budget, Checkpoint, Layout
from penjing.errors import BudgetError, PenjingError, nearest
from penjing.maths.rounding import smallest
from penjing.select.steps import step_of
from penjing.select.uniform import cost, sizes

HOWS = ("uniform", "global", "adaptive")


def allocate(
    layout: Layout,
    axes: Sequence[Axis],
    budget: Budget,
    scores: Mapping[str, Tensor],
    *,
    how: str = "uniform",
    model: Checkpoint,
    multiple: int | None = None,
) -> dict[str, int]:
    """Axis -> how many units stay.

    - "uniform": the same share of every axis (`select.uniform.sizes`): what a stock config holds;
    - "global": one ranking of the units of all axes of one kind, and the same share of each kind;
    - "adaptive": the same ranking, with every axis's scores divided by their sum first.

    Ranked axes end at sizes of their own, which few stock configs hold. Units come back in steps of the axis's
    multiple, the step with the best unit first, until the number that stays is the nearest to `keep`; a limit is met,
    and one step more would break it. Each axis keeps at least its smallest size.

    Raises:
        BudgetError: the limit is below what the smallest sizes reach, or is in a unit that needs measuring.
        PenjingError: `how` is not known, or scores are missing or negative where they must be added up.
    """
    if how not in HOWS:
        raise PenjingError(f"allocation '{how}' is not known{nearest(how, HOWS)}; choose one of {', '.join(HOWS)}")
    if how == "uniform":
        return sizes(layout, axes, budget, model=model, multiple=multiple)
    steps = {a.name: step_of(layout, a, multiple) for a in axes}
    full = {a.name: a.size for a in axes}
    order = _order(axes, {a.name: _scaled(scores, a, how) for a in axes}, steps)
    if budget.keep is not None:
        return _given(axes, order, steps, budget.keep)
    if cost(layout, full, budget, model) <= budget.limit:
        return full
    least = _given(axes, order, steps, 0.0)
    if (found := cost(layout, least, budget, model)) > budget.limit:
        raise BudgetError(
            f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {found:,.0f} remain with each of the "
            f"{len(axes)} chosen axes at its smallest size; choose more axes or allow at least {found:,.0f}"
        )
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        fits = cost(layout, _given(axes, order, steps, middle), budget, model) <= budget.limit
        low, high = (middle, high) if fits else (low, middle)
    return _filled(layout, axes, order, steps, _given(axes, order, steps, low), budget, model)


def _scaled(scores: Mapping[str, Tensor], axis: Axis, how: str) -> Tensor:
    if axis.name not in scores or len(scores[axis.name]) != axis.size:
        raise PenjingError(f"axis '{axis.name}' has {axis.size} units and as many scores are needed to rank them")
    found = scores[axis.name].double()
    if not bool(found.isfinite().all()):
        raise PenjingError(f"the scores of {axis.name} are not all finite; check the weights and the data for NaN")
    if how == "global":
        return found
    if bool((found < 0).any()):
        raise PenjingError(f"the scores of {axis.name} go below 0, so they have no share of a sum; use 'global'")
    return found / found.sum().clamp_min(torch.finfo(torch.float64).tiny)


def _order(axes: Sequence[Axis], scores: Mapping[str, Tensor], steps: Mapping[str, int]) -> dict[str, list[str]]:
    """Kind -> the axes that win one step each, the best step first; the smallest sizes are given beforehand.

    Units go by steps: a step counts as its best unit does, so that sparing rounds a size up with the best that went.
    """
    out: dict[str, list[tuple[float, int, int, str]]] = {}
    for place, axis in enumerate(axes):
        ranked = scores[axis.name].sort(descending=True).values.tolist()
        start = smallest(steps[axis.name], full=axis.size, least=axis.least)
        spots = range(start, axis.size, steps[axis.name])
        out.setdefault(axis.kind, []).extend((-ranked[s], place, s, axis.name) for s in spots)
    return {kind: [name for *_, name in sorted(found)] for kind, found in out.items()}


def _given(
    axes: Sequence[Axis], order: Mapping[str, list[str]], steps: Mapping[str, int], keep: float
) -> dict[str, int]:
    """Sizes when steps are given out until each kind has at least its share, rounded to the nearest."""
    out = {a.name: smallest(steps[a.name], full=a.size, least=a.least) for a in axes}
    full = {a.name: a.size for a in axes}
    for kind, names in order.items():
        mine = [a for a in axes if a.kind == kind]
        wanted = round(keep * sum(a.size for a in mine))
        total = sum(out[a.name] for a in mine)
        for name in names:
            more = min(steps[name], full[name] - out[name])
            if wanted - total < more / 2:
                break
            out[name], total = out[name] + more, total + more
    return out


def _filled(
    layout: Layout, axes: Sequence[Axis], order: Mapping[str, list[str]], steps: Mapping[str, int],
    sizes: dict[str, int], budget: Budget, model: Checkpoint,
) -> dict[str, int]:  # fmt: skip
    """The same with every further step that still fits, in the order of the ranking."""
    full = {a.name: a.size for a in axes}
    start = {a.name: smallest(steps[a.name], full=a.size, least=a.least) for a in axes}
    out = dict(sizes)
    for names in order.values():
        given = dict(start)
        for name in names:
            more = min(steps[name], full[name] - given[name])
            given[name] += more
            if given[name] > out[name]:
                trial = {**out, name: min(full[name], out[name] + more)}
                if cost(layout, trial, budget, model) > budget.limit:
                    break
                out = trial
    return out
