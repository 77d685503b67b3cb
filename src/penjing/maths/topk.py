"""The best few of many, exactly and repeatably."""

import torch
from torch import Tensor

from penjing.errors import BudgetError, DataError


def best(scores: Tensor, count: int) -> tuple[int, ...]:
    """The places of the `count` highest of `scores` [n], ascending; ties go to the lower place.

    >>> best(torch.tensor([1.0, 3.0, 3.0, 2.0]), 2)
    (1, 2)

    Raises:
        DataError: a score is not a number.
        BudgetError: fewer than one or more than all are asked for.
    """
    if scores.isnan().any():
        first = int(scores.isnan().nonzero()[0])
        raise DataError(
            f"the score of unit {first} is not a number, and scores must be comparable; "
            "check the weights and the data for NaN"
        )
    if not 1 <= count <= len(scores):
        raise BudgetError(f"{count} of {len(scores)} units were asked for; keep at least 1 and at most {len(scores)}")
    order = torch.argsort(scores, descending=True, stable=True)
    return tuple(sorted(order[:count].tolist()))
