"""Of what rank a model's matrices are to be: the same share of the numbers of each, as large as a budget allows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from penjing.core import Budget, Checkpoint, Layout
from penjing.core.pattern import names
from penjing.errors import BudgetError, UnsupportedError
from penjing.maths.low_rank import rank_for
from penjing.select.uniform import cost
from penjing.select.weights import Matrix, matrices

STEPS = 60
RANKS = "ranks"
"""The kind of axis that lies between the two matrices which one was made into."""


def modules(layout: Layout, tensors: str = "*", *, protect: str | Sequence[str] = ()) -> list[Matrix]:
    """The matrices that are the weight of a module of their own and make one dimension, in the layout's order.

    `tensors` and `protect` are globs, as of `weights.matrices`. Tied ones, those in groups, and the two that a matrix
    was made into before are left out.

    Raises:
        LayoutError: nothing is left, or a glob of `protect` matches nothing.
        UnsupportedError: the model has no such matrix.
    """
    tied = {*layout.aliases, *layout.aliases.values()}
    found = [m for m in matrices(layout, tensors, protect=protect) if m.tensor not in tied and _alone(layout, m)]
    if not found and any(a.kind == RANKS for a in layout.axes.values()):
        raise UnsupportedError(
            f"of what '{tensors}' names, each matrix is a product of two already, and nothing is gained by "
            f"making two of either; take ranks away instead: method magnitude with axes '{RANKS}.*'"
        )
    if not found:
        raise UnsupportedError(
            f"of what '{tensors}' names, no tensor is the weight of a linear layer or a convolution that is not tied, "
            "so nothing has a rank; take units away instead"
        )
    return found


def module_of(matrix: Matrix) -> str:
    """The path of the module that a matrix is the weight of."""
    return matrix.tensor.removesuffix(".weight")


def ranks(layout: Layout, chosen: Sequence[Matrix], budget: Budget, model: Checkpoint) -> dict[str, int]:
    """Tensor -> its rank, of those whose two factors have fewer numbers than they have.

    Of `keep`, that share of each matrix's numbers stays; another limit is met by the largest such share that does.

    Raises:
        BudgetError: the limit is below what rank 1 of each reaches, or is in a unit that needs measuring.
    """
    if budget.keep is not None:
        return _at(chosen, budget.keep)

    def takes(share: float) -> float:
        return cost_with(layout, chosen, _shares(chosen, _at(chosen, share)), budget, model)

    return _at(chosen, largest_share(takes, budget, f"each of the {len(chosen)} chosen matrices at rank 1"))


def largest_share(takes: Callable[[float], float], budget: Budget, least: str) -> float:
    """The largest share, 0 to 1, with which a model `takes` no more than a budget's limit.

    Raises:
        BudgetError: not even 0 does; `least` says what that is.
    """
    if (found := takes(0.0)) > budget.limit:
        raise BudgetError(
            f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {found:,.0f} remain with {least}; "
            f"choose more of them or allow at least {found:,.0f}"
        )
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if takes(middle) <= budget.limit else (low, middle)
    return high if takes(high) <= budget.limit else low


def cost_with(
    layout: Layout, chosen: Sequence[Matrix], shares: Mapping[str, float], budget: Budget, model: Checkpoint
) -> float:
    """What the model takes when matrices take these shares of what they take; those that are not named stay whole."""
    total = cost(layout, {}, budget, model)
    return total - sum(alone(layout, m, budget, model) * (1 - shares[m.tensor]) for m in chosen if m.tensor in shares)


def _shares(chosen: Sequence[Matrix], found: Mapping[str, int]) -> dict[str, float]:
    """Of each matrix, its share of numbers, which is that of its multiply-adds too."""
    sizes = {m.tensor: (m.columns, math.prod(m.shape) // m.columns) for m in chosen}
    return {t: rank * sum(sizes[t]) / math.prod(sizes[t]) for t, rank in found.items()}


def _at(chosen: Sequence[Matrix], share: float) -> dict[str, int]:
    out: dict[str, int] = {}
    for m in chosen:
        outputs = math.prod(m.shape) // m.columns
        rank = rank_for(share, outputs, m.columns)
        if share < 1 and rank * (outputs + m.columns) < outputs * m.columns:
            out[m.tensor] = rank
    return out


def alone(layout: Layout, m: Matrix, budget: Budget, model: Checkpoint) -> float:
    """What one matrix takes, in the unit of the budget."""
    if budget.unit == "parameters":
        return math.prod(m.shape)
    if budget.unit == "bytes":
        return math.prod(m.shape) * model.dtypes[m.tensor].itemsize
    return cost(replace(layout, work=tuple(w for w in layout.work if w.tensor == m.tensor)), {}, budget, model)


def _alone(layout: Layout, m: Matrix) -> bool:
    made = [d for d in range(len(m.shape)) if d not in m.inputs]
    grouped = any(n.split(".", 1)[0] in ("groups", RANKS) for n in names(layout.patterns[m.tensor]))
    turned = len(m.shape) > 2 and m.inputs[0] != 1
    depthwise = len(m.shape) > 2 and m.shape[m.inputs[0]] == 1
    return m.tensor.endswith(".weight") and len(made) == 1 and not (grouped or turned or depthwise)
