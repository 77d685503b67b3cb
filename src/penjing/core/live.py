"""A model that runs: for methods that try what an edit does before they choose it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from penjing.core.plan import Plan


class Live(Protocol):
    """The model in memory, with examples to run it on. Whatever is tried, it is the original model again afterwards.

    Objectives: `loss` (of the next token, or of the labels in the data), `output`, `entropy` (of how alike the
    features of the examples are) and `divergence` (KL from the original model's predictions). A plan's edits act as
    their masks: `Keep` zeroes the units that go, or drops blocks, `Mask` zeroes weights, `Update` changes values.
    """

    @property
    def examples(self) -> int:
        """How many examples there are."""
        ...

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        """The mean of an objective under a plan, over all examples or those named."""
        ...

    def gradients(
        self, tensors: Sequence[str], plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None
    ) -> Iterator[Mapping[str, Tensor]]:
        """Each example's derivatives by the named parameters, as they are under the plan, float32."""
        ...
