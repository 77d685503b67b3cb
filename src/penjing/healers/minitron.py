"""Make the divergence of predictions small and, where blocks went, that of hidden states, both with the same weight.

`L = L_logits + a L_is`: the forward KL over the whole vocabulary, and the mean squared difference of hidden states,
the student's through one learned linear map; `a = L_logits / L_is`, through which no gradient goes, so that both pull
alike.

Source: Muralidharan et al., "Compact Language Models via Pruning and Knowledge Distillation" (Minitron),
arXiv:2407.14679, section 3 and best practices 5 to 7: KL only, without the data's own loss, and hidden states only
where depth was cut. Deviations: states of blocks, normalised without a gain, stand for the outputs of norms; embeddings
and attention relations, which the paper tries too, are left out.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.core import Healing, Looks, Seen
from penjing.core.healing import check_same_predictions
from penjing.errors import RequestError
from penjing.maths.alignment import evenly, projection, state_error
from penjing.maths.divergence import kl

MAP = "minitron"


@dataclass(frozen=True, kw_only=True)
class Healer:
    """Logits divided by `temperature`; hidden states of the `last` blocks.

    `states` is "auto" (where the student has fewer blocks than the teacher), "always" or "never".
    """

    temperature: float = 1.0
    states: Literal["auto", "always", "never"] = "auto"
    last: int = 1

    def __post_init__(self) -> None:
        if self.states not in ("auto", "always", "never") or self.last < 1 or not self.temperature > 0:
            found = f"found states '{self.states}', last {self.last}, temperature {self.temperature:g}"
            raise RequestError(f"{found}; needed auto, always or never; 1 or more; above 0")

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At logits, and at the last blocks.

        Raises:
            UnsupportedError: states are always wanted, and a model has no list of blocks.
        """
        wanted = self.states == "always" or (self.states == "auto" and 0 < blocks[0] < blocks[1])
        return Looks(logits=True, blocks=evenly(*blocks)[-self.last :] if wanted else ())

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Add the map.

        Raises:
            UnsupportedError: the two do not predict the same.
        """
        check_same_predictions(student, teacher)
        for one, other in zip(student.states.values(), teacher.states.values(), strict=True):
            if MAP not in run.beside:
                run.beside[MAP] = projection(one.shape[-1], other.shape[-1])

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: the divergence, and the hidden states' error, weighed alike."""
        assert student.logits is not None  # noqa: S101 - seen in `prepare`
        assert teacher.logits is not None  # noqa: S101
        of_logits = kl(teacher.logits, student.logits, temperature=self.temperature, counts=student.counts)
        if MAP not in run.beside:
            return of_logits
        pairs = zip(student.states.values(), teacher.states.values(), strict=True)
        each = [state_error(run.beside[MAP](one), other, student.counts) for one, other in pairs]
        return of_logits + weighed_alike(of_logits, torch.stack(each).mean())


def weighed_alike(first: Tensor, second: Tensor) -> Tensor:
    """[]: the second loss, as large as the first by a weight that no gradient goes through; 0 where it is 0."""
    weight = first.detach() / second.detach().clamp_min(torch.finfo(torch.float32).tiny)
    return weight * second if bool(second > 0) else second
