"""Make the data's own loss small: plain fine-tuning, without a teacher.

The baseline that every other way is held against, and the control that a dense model is trained by.

Source: the loss that models are trained on, the cross-entropy of the next token or of the label.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from penjing.core import Healing, Looks, Seen


@dataclass(frozen=True, kw_only=True)
class Healer:
    """Train on the data as if they were the first ones."""

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At nothing of a teacher."""
        return Looks()

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Nothing is needed."""

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: the data's own."""
        return run.objective(batch, student.output)
