"""Which weights of a matrix stay: so many of each row, of everything, or of every few neighbours."""

import torch
from torch import Tensor

from penjing.errors import BudgetError, DataError


def zeros_of(weights: int, keep: float) -> int:
    """How many of `weights` go at this density, rounded down; `keep` is first rounded to twelve digits.

    >>> zeros_of(10, 0.9), zeros_of(7, 0.5)
    (1, 3)
    """
    return int(weights * round(1 - keep, 12))


def best_of_rows(scores: Tensor, zeros: int) -> Tensor:
    """[rows columns] bool: all but the `zeros` lowest of each row of `scores`; of equal ones the first go.

    Raises:
        DataError: a score is not a number.
        BudgetError: fewer than none or more than all are to go.
    """
    _check(scores)
    if not 0 <= zeros <= scores.shape[1]:
        raise BudgetError(f"{zeros} of {scores.shape[1]} weights of a row cannot go; let 0 to {scores.shape[1]} go")
    if zeros == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    limit = scores.kthvalue(zeros, dim=1, keepdim=True).values  # some twice as fast as sorting
    kept = scores > limit
    tied = (kept.sum(1) != scores.shape[1] - zeros).nonzero().flatten()  # rows where more than `zeros` would go
    if len(tied):
        equal = scores[tied] == limit[tied]
        surplus = scores.shape[1] - zeros - kept[tied].sum(1, keepdim=True)
        from_the_end = equal.flip(1).cumsum(1).flip(1)
        kept[tied] |= equal & (from_the_end <= surplus)
    return kept


def best_of_all(scores: Tensor, zeros: int) -> Tensor:
    """[as scores] bool: all but the `zeros` lowest of all `scores`; of equal ones the first go.

    Raises:
        DataError: a score is not a number.
        BudgetError: fewer than none or more than all are to go.
    """
    _check(scores)
    if not 0 <= zeros <= scores.numel():
        raise BudgetError(f"{zeros} of {scores.numel()} weights cannot go; let 0 to {scores.numel()} go")
    flat = scores.flatten()
    if zeros == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    limit = flat.kthvalue(zeros).values
    kept = flat >= limit
    ties = (flat == limit).nonzero().flatten()
    kept[ties[: zeros - int((~kept).sum())]] = False
    return kept.view(scores.shape)


def fewer_of_rows(scores: Tensor, kept: Tensor, rate: float) -> Tensor:
    """[rows columns] bool: of what each row of `kept` keeps, all but the lowest `rate` x n, rounded.

    Nothing comes back. All rows keep as many as the first; of equal scores the first go.

    Raises:
        DataError: a score is not a number, or rows keep different numbers.
    """
    counts = kept.sum(1)
    if len(kept) and not bool((counts == counts[0]).all()):
        raise DataError(f"rows keep {int(counts.min())} to {int(counts.max())} weights; needed as many in each")
    stay = int(counts[0]) if len(kept) else 0
    gone = kept.shape[1] - stay
    low = float(scores.min()) - 1 if scores.numel() else 0.0  # what is gone goes first
    return best_of_rows(torch.where(kept, scores, low), gone + round(rate * stay)) & kept


def best_of_groups(scores: Tensor, stay: int, of: int) -> Tensor:
    """[rows columns] bool: the `stay` highest of every `of` neighbours in a row; of equal ones the first go.

    Raises:
        DataError: a score is not a number.
        BudgetError: the columns are no multiple of `of`.
    """
    rows, columns = scores.shape
    if columns % of:
        raise BudgetError(f"{columns} inputs are no multiple of {of}; choose another pattern")
    return best_of_rows(scores.reshape(-1, of), of - stay).view(rows, columns)


def _check(scores: Tensor) -> None:
    if scores.isnan().any():
        raise DataError("a weight's score is not a number, and scores must be comparable; check weights and statistics")
