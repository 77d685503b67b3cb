"""What a stack is trained on: inputs and labels in memory, and the order in which each network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.errors import DataError


@dataclass(frozen=True, eq=False)
class Examples:
    """`inputs` [n ...] float32 and `labels` [n] int64, class numbers from 0."""

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            DataError: there are none, or not as many labels as inputs.
        """
        if not len(self.inputs) or len(self.inputs) != len(self.labels):
            raise DataError(f"found {len(self.inputs)} inputs and {len(self.labels)} labels; needed as many of both")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes: the largest label and one."""
        return int(self.labels.max()) + 1


class Orders:
    """The places of each step's batch: for each seed all examples in an order that is drawn, then in another, and on.

    What is left at the end of an order and is less than a batch is passed over. Networks of one seed see the same.
    """

    def __init__(self, seeds: Sequence[int], count: int, batch: int) -> None:
        """Begin at the first order.

        Raises:
            DataError: there are fewer examples than a batch has.
        """
        if count < batch:
            raise DataError(f"found {count} examples, and a batch has {batch}; give more examples, or a smaller batch")
        self.seeds, self._count, self._batch = tuple(dict.fromkeys(seeds)), count, batch
        self._rows = torch.tensor([self.seeds.index(s) for s in seeds])
        self._generators = [torch.Generator().manual_seed(s) for s in self.seeds]
        self._orders: Tensor | None = None
        self._at = 0

    @property
    def shared(self) -> bool:
        """Whether all networks see the same."""
        return len(self.seeds) == 1

    def __call__(self) -> Tensor:
        """[batch] places where all see the same, else [networks batch]."""
        if self._orders is None or self._at + self._batch > self._count:
            self._orders = torch.stack([torch.randperm(self._count, generator=g) for g in self._generators])
            self._at = 0
        found = self._orders[:, self._at : self._at + self._batch]
        self._at += self._batch
        return found[0] if self.shared else found[self._rows]

    def skip(self, steps: int) -> None:
        """Pass over the batches of so many steps."""
        for _ in range(steps):
            self()
