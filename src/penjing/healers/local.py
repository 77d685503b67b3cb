"""Fit each block to what the teacher's block gives, one after the other: no pass goes back through the whole model.

Only one block is trained at a time, so gradients, moments and activations are those of one block: for models whose
training does not fit into memory. Each block reads what comes through the blocks that were fitted before it, and so
mends a part of their errors too. Embeddings, last norm and head stay.

Source: block-wise reconstruction, as in Li et al., "BRECQ", arXiv:2102.05426, section 3 (there for rounding).
Deviations: all weights of a block are trained by gradients; the input is the student's stream, not the teacher's; the
error of a position is divided by the squared length of the teacher's state, and not weighted by a Hessian.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from penjing.core import Healing, Looks, Seen
from penjing.errors import UnsupportedError
from penjing.maths.alignment import evenly, relative_error


@dataclass(frozen=True, kw_only=True)
class Healer:
    """The squared distance from the teacher's states over their squared length, the mean over positions."""

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At the outputs of blocks, each alone.

        Raises:
            UnsupportedError: a model has no list of blocks.
        """
        return Looks(blocks=evenly(*blocks), alone=True)

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Refuse states of other shapes.

        Raises:
            UnsupportedError: the widths differ, or the positions.
        """
        for one, other in zip(student.states.values(), teacher.states.values(), strict=True):
            if one.shape != other.shape:
                found = f"the student's blocks give {list(one.shape)} and the teacher's {list(other.shape)}"
                raise UnsupportedError(f"{found}; a block by itself needs states of the same shape; heal by logits")

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: of the pair of blocks that is looked at, or the mean over several."""
        pairs = zip(student.states.values(), teacher.states.values(), strict=True)
        each = [relative_error(one, other, student.counts) for one, other in pairs]
        return sum(each[1:], start=each[0]) / len(each)
