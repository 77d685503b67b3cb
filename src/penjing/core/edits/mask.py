"""Set some weights of a tensor to zero."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from penjing.core.edit import Packed, tensor_bytes
from penjing.errors import PlanError

_PLACES = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)


@dataclass(frozen=True, eq=False)
class Mask:
    """Zero the weights of a tensor where `kept` (bool, the tensor's shape at this point of the plan) is False."""

    tensor: str
    kept: Tensor

    kind: ClassVar[str] = "mask"

    def __repr__(self) -> str:
        """The tensor and its shape, no values."""
        return f"Mask({self.tensor!r}, {list(self.kept.shape)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and self.tensor == other.tensor and torch.equal(self.kept, other.kept)

    __hash__ = None  # type: ignore[assignment]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The one that it masks."""
        return (self.tensor,)

    @property
    def cuts(self) -> Mapping[str, tuple[int, ...]]:
        """None: shapes stay."""
        return {}

    def pack(self, prefix: str) -> Packed:
        """The mask as bits, eight to a byte, first bit highest."""
        name, shape = f"{prefix}kept", list(self.kept.shape)
        counts = {"kept_weights": int(self.kept.sum()), "of": self.kept.numel()}
        table = {"edit": self.kind, "tensor": self.tensor, "kept": name, "shape": shape, **counts}
        return Packed(table=table, tensors={name: bits(self.kept)})

    @classmethod
    def unpack(cls, packed: Packed) -> "Mask":
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        tensor, stored, shape = packed.text("tensor"), packed.tensor("kept"), packed.table.get("shape")
        if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            raise PlanError(f"{packed.where} has shape {str(shape)[:80]}; a list of sizes was needed")
        count = prod(shape)
        if stored.dtype != torch.uint8 or stored.shape != ((count + 7) // 8,):
            found = f"{stored.dtype} {list(stored.shape)}"
            needed = f"{(count + 7) // 8} packed bytes were needed"
            raise PlanError(f"{packed.where} masks {count} weights and holds {found}; {needed}")
        return cls(tensor, from_bits(stored, count).reshape(shape))

    def digest(self) -> Iterator[bytes]:
        """Its tensor and its mask."""
        yield f"{self.kind} {self.tensor} {self.kept.dtype} {list(self.kept.shape)}".encode()
        yield tensor_bytes(self.kept)

    @classmethod
    def describe(cls, edits: Sequence["Mask"]) -> Iterator[str]:
        """How many tensors are masked."""
        yield f"mask {len(edits)} tensors"


EDIT = Mask


def bits(mask: Tensor) -> Tensor:
    """[(n + 7) // 8] uint8: a bool tensor of n places, row-major, eight to a byte, the first highest."""
    flat = mask.detach().cpu().contiguous().flatten().to(torch.uint8)
    padded = torch.zeros((len(flat) + 7) // 8 * 8, dtype=torch.uint8)
    padded[: len(flat)] = flat
    return (padded.view(-1, 8) * _PLACES).sum(1, dtype=torch.uint8)


def from_bits(packed: Tensor, count: int) -> Tensor:
    """[count] bool: what `bits` packed."""
    return ((packed[:, None] & _PLACES) != 0).flatten()[:count]
