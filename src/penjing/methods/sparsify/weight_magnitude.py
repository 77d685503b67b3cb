"""Zero the weights with the smallest absolute value: of each row, of each tensor, or of all tensors together.

Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", arXiv:1506.02626, section 3,
without its retraining. Deviation: an exact share instead of a threshold that is a multiple of the standard deviation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from penjing.core import Card, Checkpoint, Layout, Mask, Plan, View, Wants
from penjing.errors import BudgetError, nearest
from penjing.maths.sparse_masks import best_of_all, zeros_of
from penjing.select.weights import Matrix, by_rows, density, group_of, matrices, told

CARD = Card(
    title="Weight magnitude",
    paper="arXiv:1506.02626",
    removes="single weights of the blocks' matrices",
    promise="equals its mask",
)
SCOPES = ("row", "tensor", "global")


def score(rows: Tensor) -> Tensor:
    """[outputs inputs]: the absolute value of each weight, float32. Higher is kept."""
    return rows.float().abs()


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the largest weights; no data.

    `tensors` and `protect` are globs of tensors, `scope` says over what weights compete ("row": those of one output,
    "tensor", "global": all chosen tensors), `pattern` such as "2:4" keeps two of every four neighbouring inputs.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    scope: str = "tensor"
    pattern: str = ""

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        return Wants()

    def plan(self, view: View) -> Plan:
        """Which weights stay in each tensor.

        Raises:
            BudgetError: there is no such scope.
        """
        if self.scope not in SCOPES:
            raise BudgetError(f"no scope is named '{self.scope}'{nearest(self.scope, SCOPES)}; there are {SCOPES}")
        chosen, keep = matrices(view.layout, self.tensors, protect=self.protect), density(view.budget)
        group = group_of(self.pattern, keep, chosen)
        if group is None and self.scope == "global":
            masks = _together(view.model, chosen, keep)
        else:
            masks = [self._mask(m.rows(view.model[m.tensor]), keep, group) for m in chosen]
        edits = tuple(Mask(m.tensor, m.back(kept)) for m, kept in zip(chosen, masks, strict=True))
        made = {"method": "weight_magnitude", "settings": asdict(self), "budget": str(view.budget), **told(masks)}
        return Plan(edits, made=made)

    def _mask(self, rows: Tensor, keep: float, group: tuple[int, int] | None) -> Tensor:
        if group is not None or self.scope == "row":
            return by_rows(score(rows), keep, group)
        return best_of_all(score(rows), zeros_of(rows.numel(), keep))


def _together(model: Checkpoint, chosen: Sequence[Matrix], keep: float) -> list[Tensor]:
    scores = [score(m.rows(model[m.tensor])) for m in chosen]
    flat = torch.cat([s.flatten() for s in scores])
    kept = best_of_all(flat, zeros_of(len(flat), keep)).split([s.numel() for s in scores])
    return [k.view(s.shape) for k, s in zip(kept, scores, strict=True)]
