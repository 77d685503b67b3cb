"""Named tensors and a config, read lazily."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor


class Checkpoint(Protocol):
    """What a method may see of a model.

    `shapes` and `dtypes` come from headers: no weights are read. `__getitem__` reads one tensor, in its stored
    dtype, on the CPU, and does not keep it. Tied names that the file does not store are absent.
    """

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's config as plain data, empty when there is none."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name -> shape, in the order of the files."""
        ...

    @property
    def dtypes(self) -> Mapping[str, torch.dtype]:
        """Name -> dtype."""
        ...

    def __getitem__(self, name: str) -> Tensor:
        """Read one tensor."""
        ...
