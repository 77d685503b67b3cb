"""Give a tensor new values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from penjing.core.edit import Packed, tensor_bytes
from penjing.errors import PlanError


@dataclass(frozen=True, eq=False)
class Update:
    """Give a tensor new values, of the shape it has at this point of the plan; the stored dtype stays."""

    tensor: str
    values: Tensor

    kind: ClassVar[str] = "update"

    def __repr__(self) -> str:
        """The tensor and its shape, no values."""
        return f"Update({self.tensor!r}, {list(self.values.shape)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Update) and self.tensor == other.tensor and torch.equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The one that it changes."""
        return (self.tensor,)

    @property
    def cuts(self) -> Mapping[str, tuple[int, ...]]:
        """None: shapes stay."""
        return {}

    def pack(self, prefix: str) -> Packed:
        """The values as they are."""
        name = f"{prefix}values"
        table = {"edit": self.kind, "tensor": self.tensor, "values": name, "shape": list(self.values.shape)}
        return Packed(table=table, tensors={name: self.values})

    @classmethod
    def unpack(cls, packed: Packed) -> "Update":
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        tensor, values = packed.text("tensor"), packed.tensor("values")
        shape = list(values.shape)
        said = packed.table.get("shape", shape)
        if said != shape:
            raise PlanError(f"{packed.where} says shape {said} and holds {shape}; make the plan again")
        return cls(tensor, values)

    def digest(self) -> Iterator[bytes]:
        """Its tensor and its values."""
        yield f"{self.kind} {self.tensor} {self.values.dtype} {list(self.values.shape)}".encode()
        yield tensor_bytes(self.values)

    @classmethod
    def describe(cls, edits: Sequence["Update"]) -> Iterator[str]:
        """How many tensors are updated."""
        yield f"update {len(edits)} tensors"


EDIT = Update
