"""Make the divergence from what the teacher predicts small, at every token or of every example.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531; as the loss after pruning,
Muralidharan et al., "Compact Language Models via Pruning and Knowledge Distillation", arXiv:2407.14679, section 3:
forward KL over the whole vocabulary, temperature 1, without the data's own loss. The divergence is exact: no vocabulary
entry is left out.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from penjing.core import Healing, Looks, Seen
from penjing.core.healing import check_same_predictions
from penjing.errors import RequestError
from penjing.maths.divergence import kl


@dataclass(frozen=True, kw_only=True)
class Healer:
    """KL(teacher | student) of logits divided by `temperature`, or with `reverse` KL(student | teacher).

    `own` is the share of the data's own loss in the sum, from 0 (none) to 1 (nothing else).
    """

    temperature: float = 1.0
    reverse: bool = False
    own: float = 0.0

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not 0 <= self.own <= 1:
            found = f"found temperature {self.temperature:g} and own {self.own:g}"
            raise RequestError(f"{found}; needed a temperature above 0, and own from 0 to 1")

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At the teacher's logits."""
        return Looks(logits=True)

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Refuse a teacher of other classes.

        Raises:
            UnsupportedError: the two do not predict the same.
        """
        check_same_predictions(student, teacher)

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: the divergence, and the share of the data's own loss."""
        assert student.logits is not None  # noqa: S101 - seen in `prepare`
        assert teacher.logits is not None  # noqa: S101
        found = kl(
            teacher.logits, student.logits, temperature=self.temperature, reverse=self.reverse, counts=student.counts
        )
        return found if not self.own else (1 - self.own) * found + self.own * run.objective(batch, student.output)
