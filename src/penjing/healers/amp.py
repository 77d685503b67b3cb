"""Make the difference of the last block's outputs small, of the class token and of the patches with equal weight.

`L = MSE(cls_s, cls_t) + MSE(patch_s, patch_t)`, before the final norm, which with the head stays as it is. No labels
are needed.

Source: Shen, "Adaptive MLP Pruning for Large Vision Transformers", arXiv:2603.08100, the default of its distillation.
Deviation: for models without a class token, and for text, it is the mean over all positions.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from penjing.core import Healing, Looks, Seen
from penjing.core.healing import has_class_token
from penjing.errors import UnsupportedError
from penjing.maths.alignment import evenly, state_error


@dataclass(frozen=True, kw_only=True)
class Healer:
    """Heal an encoder by its own features."""

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At the last blocks' outputs.

        Raises:
            UnsupportedError: a model has no list of blocks.
        """
        return Looks(blocks=evenly(*blocks)[-1:])

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Refuse features of another form.

        Raises:
            UnsupportedError: the two models' features are not of one shape.
        """
        (one,), (other,) = student.states.values(), teacher.states.values()
        if one.shape != other.shape:
            found = f"the student's last block gives {list(one.shape)} and the teacher's {list(other.shape)}"
            raise UnsupportedError(f"{found}; the features must be of one shape; heal by hidden")

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: the error of the class token and that of all else."""
        (one,), (other,) = student.states.values(), teacher.states.values()
        if one.ndim != 3 or not has_class_token(run.module):
            return state_error(one, other, student.counts, normalise=False)
        first = state_error(one[:, 0], other[:, 0], normalise=False)
        return first + state_error(one[:, 1:], other[:, 1:], normalise=False)
