"""Hidden states and statistics that lie in files, whose pages come into memory when they are asked for."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import torch
from torch import Tensor

Name = TypeVar("Name")


class Hidden:
    """One float32 tensor for each batch. Above `limit` bytes they lie in a file of the folder `scratch`.

    The file grows as states come, so that memory never holds more than the limit.
    """

    def __init__(self, scratch: Path, limit: int) -> None:
        self._scratch, self._limit = scratch, limit
        self._held: list[Tensor] = []
        self._shapes: list[torch.Size] = []
        self._path: Path | None = None
        self._size = 0
        self._mapped: Tensor | None = None

    def append(self, states: Tensor) -> None:
        """Add the states of one more batch."""
        self._shapes.append(states.shape)
        self._size += 4 * states.numel()
        self._held.append(states)
        if self._size > self._limit or self._path is not None:
            self._spill()

    def _spill(self) -> None:
        if self._path is None:
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._path = self._scratch / f"hidden-{uuid4().hex}.bin"
        with self._path.open("ab") as file:
            for states in self._held:
                file.write(states.contiguous().numpy().data)
        self._held.clear()

    def settle(self) -> None:
        """All states have come; from now on they are read and replaced."""
        if self._path is not None:
            self._mapped = _mapped(self._path, self._size // 4)

    def _place(self, batch: int) -> Tensor:
        if self._mapped is None:
            return self._held[batch]
        start = sum(math.prod(s) for s in self._shapes[:batch])
        return self._mapped[start : start + math.prod(self._shapes[batch])].view(self._shapes[batch])

    def __getitem__(self, batch: int) -> Tensor:
        return self._place(batch)

    def __setitem__(self, batch: int, states: Tensor) -> None:
        if self._mapped is None:
            self._held[batch] = states
        else:
            self._place(batch).copy_(states)


def put_away(values: Mapping[Name, Tensor], path: Path) -> dict[Name, Tensor]:
    """The same float32 values, written to the file `path` and mapped from it; the file has to stay."""
    with path.open("wb") as file:
        for value in values.values():
            file.write(value.contiguous().numpy().reshape(-1).data)
    sizes = [v.numel() for v in values.values()]
    parts = _mapped(path, sum(sizes)).split(sizes)
    return {name: part.view(v.shape) for (name, v), part in zip(values.items(), parts, strict=True)}


def _mapped(path: Path, size: int) -> Tensor:
    # Shared: a private mapping that may be written counts as the process' own memory.
    return torch.from_file(str(path), shared=True, size=size, dtype=torch.float32)
