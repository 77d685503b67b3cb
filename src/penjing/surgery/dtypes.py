"""What a result is stored as: the floating point type that was asked for, in its tensors and in its config."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from penjing.core import Checkpoint

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""What becomes another type; packed and counted values (8 bits, integers) stay what they are."""
ENTRIES = ("dtype", "torch_dtype")


def stored_as(dtypes: Mapping[str, torch.dtype], wanted: torch.dtype | None) -> dict[str, torch.dtype]:
    """Name -> dtype of the result's tensors; None keeps all."""
    return {n: wanted if wanted is not None and d in FLOATS else d for n, d in dtypes.items()}


def config_as(config: Mapping[str, Any], wanted: torch.dtype) -> dict[str, Any]:
    """The config with the type in every entry that names one; where none does, in one of its own."""
    name = str(wanted).removeprefix("torch.")
    found = _renamed(config, name)
    return found if any(e in config for e in ENTRIES) else {**found, "dtype": name}


def _renamed(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in config.items():
        if key in ENTRIES and isinstance(value, str):
            value = name
        elif isinstance(value, Mapping) and key.endswith("config"):
            value = _renamed(value, name)
        out[key] = value
    return out


class AsStored:
    """A checkpoint whose weights are counted as if they were stored in another type; they are read as they are."""

    def __init__(self, checkpoint: Checkpoint, wanted: torch.dtype) -> None:
        self._checkpoint, self.dtypes = checkpoint, stored_as(checkpoint.dtypes, wanted)

    @property
    def config(self) -> Mapping[str, Any]:
        """As it is."""
        return self._checkpoint.config

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """As they are."""
        return self._checkpoint.shapes

    def __getitem__(self, name: str) -> Tensor:
        return self._checkpoint[name]
