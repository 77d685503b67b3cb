"""Each vocabulary entry's largest logit over the sequence, averaged over entries.

Source: the scalar of NIRVANA, arXiv:2509.14230, as its code has it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from penjing.calibrate.batches import Batch
from penjing.calibrate.outputs import scores


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the model gives, without anything to compare it with."""

    joins: ClassVar[bool] = False
    answers: ClassVar[bool] = False

    def __call__(self, output: Any, batch: Batch) -> Tensor:
        """[examples]: see `output_mean`."""
        return output_mean(output)


def output_mean(output: Any) -> Tensor:
    """[examples]: the mean over outputs of each one's largest value along the sequence (of its value, without one).

    Raises:
        DataError: the model gave no tensor.
    """
    logits = scores(output).float()
    return logits.flatten(1, -2).amax(1).mean(1) if logits.ndim > 2 else logits.flatten(1).mean(1)
