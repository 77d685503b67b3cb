"""Make the difference between the outputs of the student's blocks and of the teacher's small.

Blocks are paired evenly where the student has fewer. Where the widths differ, one linear map from the student's width
to the teacher's is learned along for all blocks, and left behind at the end.

Source: Romero et al., "FitNets: Hints for Thin Deep Nets", arXiv:1412.6550, for the learned map; Sun et al., "Patient
Knowledge Distillation", arXiv:1908.09355, for many layers and normalised states. Deviations: states are brought to mean
0 and variance 1, not to length 1; every position counts, not the first alone; the map is shared by all blocks.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penjing.core import Healing, Looks, Seen
from penjing.errors import RequestError, UnsupportedError
from penjing.maths.alignment import evenly, projection, state_error

MAP = "hidden"


@dataclass(frozen=True, kw_only=True)
class Healer:
    """The mean over the `last` blocks of the student (0: all). Without `normalise` states are compared as they are."""

    last: int = 0
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.last < 0:
            raise RequestError(f"last is {self.last}; needed 0 for all blocks, or how many")

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """At the outputs of blocks.

        Raises:
            UnsupportedError: a model has no list of blocks.
        """
        return Looks(blocks=evenly(*blocks)[-self.last :])

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Add the map, where the widths differ.

        Raises:
            UnsupportedError: the states have other positions.
        """
        for one, other in zip(student.states.values(), teacher.states.values(), strict=True):
            if one.shape[:-1] != other.shape[:-1]:
                found = f"the student's blocks give {list(one.shape)} and the teacher's {list(other.shape)}"
                raise UnsupportedError(f"{found}; hidden states are compared position by position; heal by logits")
            if one.shape[-1] != other.shape[-1] and MAP not in run.beside:
                run.beside[MAP] = projection(one.shape[-1], other.shape[-1])

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: the mean over pairs of blocks."""
        each = []
        for one, other in zip(student.states.values(), teacher.states.values(), strict=True):
            mapped = run.beside[MAP](one) if MAP in run.beside else one
            each.append(state_error(mapped, other, student.counts, normalise=self.normalise))
        return torch.stack(each).mean()
