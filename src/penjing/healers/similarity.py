"""Make the divergence between how alike the examples of a batch are to the student and to the teacher small.

Of each example the softmax over its cosines to all of the batch, itself included, times the inverse temperature; and
`L = (KL(P_t | P_s) + KL(P_s | P_t)) / 2`, the mean over examples. The widths of the two models may differ. No labels
are needed; batches must hold two examples at least, and say more the larger they are.

Source: Shen, "Adaptive MLP Pruning for Large Vision Transformers", arXiv:2603.08100, the alternative loss of its
distillation. Deviation: features are the last block's class token (else the mean over positions), normalised without
the final norm's gain.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from penjing.core import Healing, Looks, Seen
from penjing.core.healing import has_class_token
from penjing.errors import RequestError, UnsupportedError
from penjing.maths.alignment import evenly
from penjing.maths.divergence import kl
from penjing.maths.similarity import log_similarities


@dataclass(frozen=True, kw_only=True)
class Healer:
    """Cosines times `inverse_temperature`."""

    inverse_temperature: float = 15.0
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.inverse_temperature > 0:
            raise RequestError(f"inverse_temperature is {self.inverse_temperature:g}; needed more than 0")

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At the last blocks' outputs.

        Raises:
            UnsupportedError: a model has no list of blocks.
        """
        return Looks(blocks=evenly(*blocks)[-1:])

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Refuse batches of one.

        Raises:
            UnsupportedError: there is nothing to be alike to.
        """
        (one,) = student.states.values()
        if len(one) < 2:
            raise UnsupportedError("a batch holds 1 example, and examples of a batch are compared; use batches of more")

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: the symmetric divergence."""
        has_token = has_class_token(run.module)
        (one,), (other,) = student.states.values(), teacher.states.values()
        ours, theirs = (
            log_similarities(pooled(x, has_token, student.counts), self.inverse_temperature) for x in (one, other)
        )
        return (kl(theirs, ours) + kl(theirs, ours, reverse=True)) / 2


def pooled(states: Tensor, has_token: bool, counts: Tensor | None) -> Tensor:
    """[examples width]: what stands for each example, of states [examples ... width]."""
    if states.ndim < 3:
        return states
    each = F.layer_norm(states.float(), states.shape[-1:]).flatten(1, -2)
    if has_token:
        return each[:, 0]
    weight = each.new_ones(each.shape[:2]) if counts is None else counts.to(each)
    return (each * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
