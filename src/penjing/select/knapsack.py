"""Which size each group of axes gets, where what each size adds to the loss was measured: an exact integer programme.

One option is chosen of each group so that the summed increase is the smallest that a budget allows (a multiple-choice
knapsack). Increases measured one group at a time are taken to add up, which a model need not grant: measure the
result. The programme is solved by HiGHS, through scipy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penjing.core import Budget, Checkpoint, Layout
from penjing.errors import BudgetError
from penjing.select.uniform import cost

ROUNDS = 60
"""How often a limit is tightened until the exact cost meets the budget."""
_SPAN = 1e4
"""The size that objective and limits are scaled to, for the solver's tolerances are absolute (1e-6)."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to cut a group of axes: the size of each, and what that adds to the loss, below 0 if it helps."""

    sizes: Mapping[str, int]
    loss: float


Groups = Mapping[str, Sequence[Option]]


def solve(layout: Layout, groups: Groups, budget: Budget, *, model: Checkpoint) -> dict[str, int]:
    """Axis -> how many units stay: one option of each group, with the smallest summed increase within the budget.

    - `keep`: of all units of a kind of axis at most this share stays, to the nearest unit;
    - `parameters`, `macs`, `bytes`: the whole model is at most this large;
    - `loss`: the summed increase is at most this, and the parameters are the fewest.

    What a size saves is counted with all other groups whole. Where no weight or product lies between two groups (such
    as the neurons of one block and of another, or neurons and heads) savings add up, and the choice is the best there
    is. Where they do not (a width that other groups' weights share), they count some weights twice: the limit is then
    tightened by what the exact cost (`select.uniform.cost`) is above it, until it is met. Such a choice meets the
    budget, but a better one may exist.

    Raises:
        BudgetError: even the cheapest options are above the budget, or it is in a unit that needs measuring.
    """
    listed = [list(g) for g in groups.values()]
    losses = [[o.loss for o in options] for options in listed]
    if budget.keep is not None:
        weights, limits = _by_kind(listed, layout, budget.keep)
        return _found(listed, pick(losses, weights, limits), budget)
    if budget.loss is not None:
        saved = _saved(layout, listed, Budget(parameters=1), model)
        fewest = [[-s for s in each] for each in saved]
        return _found(listed, pick(fewest, [losses], [budget.loss]), budget)
    return _under(layout, listed, losses, budget, model)


def pick(
    values: Sequence[Sequence[float]], weights: Sequence[Sequence[Sequence[float]]], limits: Sequence[float]
) -> tuple[int, ...] | None:
    """The option of each group that makes the sum of `values` smallest, or None if no choice is within the limits.

    `values` are [groups options]; of each limit, `weights` has what every option takes of it, [limits groups options].
    Exact to about 1e-9 of the largest possible difference.
    """
    lowest = [[min(g) for g in each] for each in weights]
    bounds = [float(limit) - math.fsum(low) for limit, low in zip(limits, lowest, strict=True)]
    over = [[[w - x for w in g] for g, x in zip(e, low, strict=True)] for e, low in zip(weights, lowest, strict=True)]
    slack = [1e-12 * max(1.0, abs(limit)) for limit in limits]
    for _ in range(ROUNDS):
        if any(b < -s for b, s in zip(bounds, slack, strict=True)):
            return None
        chosen = _milp(values, over, bounds)
        if chosen is None:
            return None
        taken = [math.fsum(g[i] for g, i in zip(each, chosen, strict=True)) for each in over]
        excess = [t - b for t, b in zip(taken, bounds, strict=True)]
        if all(e <= s for e, s in zip(excess, slack, strict=True)):
            return chosen
        # The solver stepped over a limit within its tolerance.
        bounds = [b - max(0.0, e) for b, e in zip(bounds, excess, strict=True)]
    return None


def _milp(
    values: Sequence[Sequence[float]], weights: Sequence[Sequence[Sequence[float]]], limits: Sequence[float]
) -> tuple[int, ...] | None:
    """The same with weights of 0 and more, to the tolerance of the solver."""
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    counts = [len(g) for g in values]
    total = sum(counts)
    group = np.repeat(np.arange(len(counts)), counts)
    one_each = csr_array((np.ones(total), (group, np.arange(total))), shape=(len(counts), total))
    constraints = [LinearConstraint(one_each, 1, 1)]
    for each, limit in zip(weights, limits, strict=True):
        row = np.concatenate([np.asarray(g, dtype=np.float64) for g in each])
        if not row.any():
            continue
        whole = bool((row == np.round(row)).all()) and float(row.max()) < 2**52
        step = float(np.gcd.reduce(row.astype(np.int64))) if whole else 0.0
        # Between two whole numbers no sum lies, so that the solver's tolerance decides nothing.
        bound = (math.floor(max(limit, 0.0) / step) + 0.5) * step if step else max(limit, 0.0)
        scale = _SPAN / float(row.max())
        constraints.append(LinearConstraint(csr_array(row[None] * scale), -np.inf, bound * scale))
    aim = np.concatenate([np.asarray(g, dtype=np.float64) - min(g) for g in values])
    aim = aim * (_SPAN / float(aim.max())) if aim.any() else aim
    found = milp(
        aim, integrality=np.ones(total), bounds=Bounds(0, 1), constraints=constraints, options={"mip_rel_gap": 0.0}
    )
    if found.x is None:
        return None
    return tuple(int(part.argmax()) for part in np.split(found.x, np.cumsum(counts)[:-1]))


def _under(
    layout: Layout, listed: list[list[Option]], losses: list[list[float]], budget: Budget, model: Checkpoint
) -> dict[str, int]:
    """The choice under a limit on the whole model's cost."""
    whole = cost(layout, {}, budget, model)
    saved = _saved(layout, listed, budget, model)
    cheapest = tuple(max(range(len(s)), key=s.__getitem__) for s in saved)
    least = _found(listed, cheapest, budget)
    if (found := cost(layout, least, budget, model)) > budget.limit:
        raise BudgetError(
            f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {found:,.0f} remain with each of the "
            f"{len(least)} chosen axes at its smallest size; choose more axes or allow at least {found:,.0f}"
        )
    needed = whole - budget.limit
    for _ in range(ROUNDS):
        chosen = pick(losses, [[[-s for s in each] for each in saved]], [-needed])
        if chosen is None:
            break
        sizes = _found(listed, chosen, budget)
        above = cost(layout, sizes, budget, model) - budget.limit
        if above <= 0:
            return sizes
        needed += above
    return least


def _saved(layout: Layout, listed: list[list[Option]], budget: Budget, model: Checkpoint) -> list[list[float]]:
    """[groups options]: what each option takes off the cost of the model that is whole otherwise."""
    whole = cost(layout, {}, budget, model)
    return [[whole - cost(layout, o.sizes, budget, model) for o in options] for options in listed]


def _by_kind(
    listed: list[list[Option]], layout: Layout, keep: float
) -> tuple[list[list[list[float]]], list[float]]:
    """(units that each option keeps, by kind of axis; how many may stay)."""
    full: dict[str, int] = {}
    for options in listed:
        for name in options[0].sizes:
            full[layout.axes[name].kind] = full.get(layout.axes[name].kind, 0) + layout.axes[name].size
    weights = [
        [[float(sum(n for a, n in o.sizes.items() if layout.axes[a].kind == kind)) for o in opts] for opts in listed]
        for kind in full
    ]
    return weights, [float(round(keep * n)) for n in full.values()]


def _found(listed: list[list[Option]], chosen: tuple[int, ...] | None, budget: Budget) -> dict[str, int]:
    if chosen is None:
        raise BudgetError(
            f"a budget of {budget} is below what any choice of sizes leaves of the {len(listed)} groups of axes; "
            "choose more axes, smaller sizes or a larger budget"
        )
    return {a: n for options, i in zip(listed, chosen, strict=True) for a, n in options[i].sizes.items()}
