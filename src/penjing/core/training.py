"""A model while it is trained, as a method sees it."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from penjing.core.budget import Budget
from penjing.core.layout import Layout

Masks = Mapping[str, Tensor]
"""Tensor -> bool of its shape: weights are zero where it is False, from now until another mask of the tensor."""


class Training(Protocol):
    """A run: the module that is trained, how far it has come, and the masks that are in force.

    Tensors are called what the layout calls them. A weight that a mask takes is zero, gets no gradient and is not moved
    by the optimiser; the value that it had is kept, and is back when a later mask lets it stay.
    """

    @property
    def module(self) -> nn.Module:
        """The module, a copy of the original."""
        ...

    @property
    def layout(self) -> Layout:
        """The original's axes."""
        ...

    @property
    def budget(self) -> Budget:
        """How small the result must be."""
        ...

    @property
    def seed(self) -> int:
        """What starts all that is drawn."""
        ...

    @property
    def step(self) -> int:
        """How many steps the optimiser has done."""
        ...

    @property
    def steps(self) -> int:
        """How many it will do."""
        ...

    @property
    def optimiser(self) -> Optimizer:
        """The optimiser of all parameters that want gradients after `prepare`."""
        ...

    @property
    def masks(self) -> Masks:
        """The masks in force."""
        ...

    @property
    def memory(self) -> dict[str, Tensor]:
        """What a method keeps from one step to a later one, by names of its own; a run that goes on has it again."""
        ...

    def rewind(self, values: Mapping[str, Tensor], *, steps: int, at: int) -> None:
        """Put tensors of the module's state dict back, those under masks too, with an optimiser that knows nothing.

        The learning rate goes on as in a run of `steps` steps that has done `at`. The run's own count goes on.

        Raises:
            DataError: a value is of no tensor of the module, or of another shape.
        """
        ...

    def name_of(self, tensor: str) -> str:
        """What the module calls a tensor of the layout."""
        ...

    def weight(self, tensor: str) -> Tensor:
        """A tensor's values; where it is masked, those that were there before.

        Raises:
            DataError: the module has no such tensor.
        """
        ...

    def objective(self, batch: Any, output: Any) -> Tensor:
        """[]: the loss that the data ask for: of the next token, or of the labels."""
        ...

    def changed(self) -> dict[str, Tensor]:
        """The tensors whose values are no longer those of the original, masked weights as zeros."""
        ...
