"""Of what rank a model's matrices are to be: the same share of the numbers of each, as large as a budget allows."""

import math
from collections.abc import Sequence
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
    least = _cost(layout, chosen, _at(chosen, 0.0), budget, model)
    if least > budget.limit:
        raise BudgetError(
            f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {least:,.0f} remain with each of the "
            f"{len(chosen)} chosen matrices at rank 1; choose more of them or allow at least {least:,.0f}"
        )
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        fits = _cost(layout, chosen, _at(chosen, middle), budget, model) <= budget.limit
        low, high = (middle, high) if fits else (low, middle)
    return _at(chosen, high if _cost(layout, chosen, _at(chosen, high), budget, model) <= budget.limit else low)


def _at(chosen: Sequence[Matrix], share: float) -> dict[str, int]:
    out: dict[str, int] = {}
    for m in chosen:
        outputs = math.prod(m.shape) // m.columns
        rank = rank_for(share, outputs, m.columns)
        if share < 1 and rank * (outputs + m.columns) < outputs * m.columns:
            out[m.tensor] = rank
    return out


def _cost(
    layout: Layout, chosen: Sequence[Matrix], found: dict[str, int], budget: Budget, model: Checkpoint
) -> float:
    """What the model takes with these ranks: of each matrix, its share of numbers is that of its multiply-adds too."""
    total = cost(layout, {}, budget, model)
    for m in chosen:
        if m.tensor in found:
            whole, thin = math.prod(m.shape), found[m.tensor] * (m.columns + math.prod(m.shape) // m.columns)
            total -= _alone_cost(layout, m, budget, model) * (1 - thin / whole)
    return total


def _alone_cost(layout: Layout, m: Matrix, budget: Budget, model: Checkpoint) -> float:
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
