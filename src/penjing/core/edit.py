"""What an edit is: frozen data that says what shall change, and can say of itself what others must know of it.

An edit is one file in `core/edits/`, and one of the same name in `surgery/edits/` that carries it out. Nothing else
asks which edit it has before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor

from penjing.errors import PlanError


@dataclass(frozen=True, kw_only=True)
class Packed:
    """An edit as it lies in a plan's files: `table` in the JSON, `tensors` beside it by the names that the table gives.

    `where` tells people which edit of which file it is.
    """

    table: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    where: str = "the edit"

    def text(self, key: str) -> str:
        """The text under a key.

        Raises:
            PlanError: there is none.
        """
        if not isinstance(self.table.get(key), str):
            raise PlanError(f"{self.where} has no text '{key}'; mend it or make the plan again")
        return self.table[key]

    def tensor(self, key: str) -> Tensor:
        """The tensor whose name stands under a key.

        Raises:
            PlanError: no name stands there, or no tensor has it.
        """
        name = self.text(key)
        if name not in self.tensors:
            raise PlanError(
                f"{self.where} needs '{name}', which plan.safetensors does not hold; keep both files of a plan together"
            )
        return self.tensors[name]


class Edit(Protocol):
    """Frozen data; its `kind` is the name of its file, of its carrier's file, and what `plan.json` calls it."""

    kind: ClassVar[str]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that it names."""
        ...

    @property
    def cuts(self) -> Mapping[str, tuple[int, ...]]:
        """Axis -> the units that stay, of each axis of which it takes units away."""
        ...

    def pack(self, prefix: str) -> Packed:
        """The edit as plain data; names of tensors begin with `prefix`, which no other edit of the plan has."""
        ...

    @classmethod
    def unpack(cls, packed: Packed) -> Self:
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        ...

    def digest(self) -> Iterator[bytes]:
        """Bytes that tell what it does from what any other edit does."""
        ...

    @classmethod
    def describe(cls, edits: Sequence[Any]) -> Iterator[str]:
        """Lines for people that say what all the edits of this kind in a plan do together."""
        ...


def tensor_bytes(tensor: Tensor) -> bytes:
    """The values of a tensor as they lie in memory, row-major."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
