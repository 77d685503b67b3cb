"""The entropy of the softmax over an example's similarities to all of the batch, itself included.

Source: AMP, arXiv:2603.08100.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.batches import Batch, examples
from penjing.calibrate.outputs import features
from penjing.errors import DataError

INVERSE_TEMPERATURE = 15.0


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How alike the features of the examples are."""

    joins: ClassVar[bool] = True
    answers: ClassVar[bool] = False
    inverse_temperature: float = INVERSE_TEMPERATURE

    def __call__(self, output: Any, batch: Batch) -> Tensor:
        """[examples]: see `entropy`."""
        return entropy(output, batch, inverse_temperature=self.inverse_temperature)


def entropy(output: Any, batch: Batch, *, inverse_temperature: float = INVERSE_TEMPERATURE) -> Tensor:
    """[examples]: the entropy, in nats, of the softmax over an example's similarities to all of the batch.

    Features are the `pooler_output`, else the first position of `last_hidden_state`, else the outputs laid flat.

    Raises:
        DataError: the batch has one example only.
    """
    count = examples(batch)
    if count < 2:
        raise DataError("the entropy compares examples, and a batch has 1; give batches of two or more")
    unit = F.normalize(features(output).float().flatten(1), dim=1)
    logs = torch.log_softmax(inverse_temperature * unit @ unit.T, dim=1)
    return -(logs.exp() * logs).sum(1)
