"""A model that runs: for methods that try what an edit does before they choose it, or go on from what it did."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from penjing.core.edit import Edit
from penjing.core.plan import Plan
from penjing.core.stats import Stats


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


class BlockByBlock(Protocol):
    """The blocks of a model, one after another: each is measured behind blocks that are cut already, then cut itself.

    Two streams of hidden states go through the blocks, one of the model as it was and one of what is left of it. The
    model itself stays as it is.
    """

    def edits(
        self,
        axes: Sequence[str],
        statistics: frozenset[str],
        decide: Callable[[Sequence[str], Stats], Sequence[Edit]],
    ) -> list[Edit]:
        """All that was decided, in order.

        `decide` is called for each set of axes that share readers, in the order in which the model runs them. It gets
        their names and the statistics of their readers on the cut model's stream, those of what a layer should give
        among them, and gives the edits that the next ones then see.
        """
        ...

    def weights(
        self,
        tensors: Sequence[str],
        statistics: frozenset[str],
        decide: Callable[[Sequence[str], Stats], Sequence[Edit]],
    ) -> list[Edit]:
        """As `edits`, but for single weights: `decide` is called once for each block, with all its tensors of these.

        Their statistics are those of the cut model's stream, with the block itself as it was.
        """
        ...
