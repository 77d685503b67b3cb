"""Which training examples are kept by their scores, so that no class is left with too few.

Source: Sorscher et al., arXiv:2206.14486: the hard ones are kept where there are many examples, the easy ones where
there are few; each class keeps at least a share of what would be fair. Uncertain: the share of 0.5 is from memory.
"""

from typing import Literal

import torch
from torch import Tensor

from penjing.errors import BudgetError

End = Literal["hard", "easy"]
FLOOR = 0.5


def kept_examples(
    scores: Tensor, keep: float, *, end: End = "hard", labels: Tensor | None = None, floor: float = FLOOR,
    trim: float = 0.0,
) -> Tensor:  # fmt: skip
    """[kept] places, ascending: a share `keep` of the examples with the highest `scores` [n] ("hard") or the lowest.

    Of each class of `labels` [n] at least the share `floor` of `keep` of it stays, its own best first. `trim` is the
    share of the hardest that is left out before, as those may be mislabelled.

    Raises:
        BudgetError: a share is out of range, or nothing would stay.
    """
    if not (0 < keep <= 1 and 0 <= floor <= 1 and 0 <= trim < 1):
        raise BudgetError(f"found keep {keep:g}, floor {floor:g}, trim {trim:g}; needed shares, keep above 0")
    order = scores.double().argsort(descending=True, stable=True)
    order = order[round(trim * len(scores)) :]
    if end == "easy":
        order = order.flip(0)
    wanted = min(round(keep * len(scores)), len(order))
    if wanted < 1:
        least = 1 / len(scores)
        raise BudgetError(f"keeping {keep:g} of {len(scores)} examples leaves none; keep at least {least:.3g}")
    first: list[int] = []
    if labels is not None:
        for one in labels.unique().tolist():
            own = order[labels[order] == one]
            quota = -(-round(floor * keep * int((labels == one).sum()) * 1e6) // 1_000_000)
            first += own[: min(quota, len(own))].tolist()
    first = first[:wanted]
    taken = torch.zeros(len(scores), dtype=torch.bool)
    taken[first] = True
    rest = order[~taken[order]][: wanted - len(first)]
    taken[rest] = True
    return taken.nonzero()[:, 0]
