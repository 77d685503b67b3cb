"""What callers give, in the words of the rooms below."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from penjing.core import Budget
from penjing.errors import BudgetError
from penjing.methods import METHODS
from penjing.planning.order import Order

Model = str | Path | nn.Module
Batches = Sequence[Any] | Callable[[], Iterable[Any]]


def order(
    method: str, budget: Budget, *, settings: Mapping[str, Any] | None, texts: Sequence[str | Path],
    images: Sequence[str | Path], labels: str | Path | None, data: Batches | None, batch: int | None, rows: int,
    length: int, seed: int, memory: int | None = None,
) -> Order:  # fmt: skip
    """The order for a plan."""
    return Order(
        method=method, budget=budget, settings=settings or {}, texts=tuple(map(Path, texts)),
        images=tuple(map(Path, images)), labels=None if labels is None else Path(labels), batches=data, batch=batch,
        rows=rows, length=length, seed=seed, memory=memory,
    )  # fmt: skip


def budget(method: str, given: Budget | None, keep: float | None) -> Budget:
    """The budget that was given, or the method's own, or 0.75 of the units.

    Raises:
        BudgetError: two budgets were given.
    """
    if given is not None and keep is not None:
        raise BudgetError(f"a budget has one limit; found {given} and keep {keep:g}; choose one")
    if given is not None or keep is not None:
        return given or Budget(keep=keep)
    usual = Budget(keep=0.75)
    return getattr(METHODS.load(method), "DEFAULT", usual) if method in METHODS.names() else usual
