"""Rotate an axis in each block by a basis of its own, with a matrix behind each block that leads to the next one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from penjing.core.edit import Packed, tensor_bytes
from penjing.errors import PlanError


@dataclass(frozen=True, eq=False)
class Bridge:
    """Write a stream of n units in another basis in each block, and map it from one to the next behind each block.

    `bases` [n m] each, with orthonormal columns: one for each block of the list `blocks`, in order, and one for what
    comes behind them. Behind block l the stream is multiplied by basis l transposed times basis l + 1. The gains of the
    norms over the axis are folded. With as many columns as units the function stays what it is.
    """

    axis: str
    blocks: str
    bases: tuple[Tensor, ...]

    kind: ClassVar[str] = "bridge"

    def __repr__(self) -> str:
        """What it is of, no values."""
        return f"Bridge({self.axis!r}, {self.blocks!r}, {len(self.bases)} bases)"[:2000]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Bridge)
            and (self.axis, self.blocks, len(self.bases)) == (other.axis, other.blocks, len(other.bases))
            and all(torch.equal(a, b) for a, b in zip(self.bases, other.bases, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def tensors(self) -> tuple[str, ...]:
        """None: it speaks of an axis."""
        return ()

    @property
    def cuts(self) -> Mapping[str, tuple[int, ...]]:
        """None of the units as they were: those that are left are new."""
        return {}

    def pack(self, prefix: str) -> Packed:
        """The bases as they are, numbered."""
        names = [f"{prefix}basis{k}" for k in range(len(self.bases))]
        shapes = [list(b.shape) for b in self.bases]
        table = {"edit": self.kind, "axis": self.axis, "blocks": self.blocks, "bases": names, "shapes": shapes}
        return Packed(table=table, tensors=dict(zip(names, self.bases, strict=True)))

    @classmethod
    def unpack(cls, packed: Packed) -> "Bridge":
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        names = packed.table.get("bases")
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise PlanError(f"{packed.where} has 'bases' {str(names)[:80]}; a list of names was needed")
        table = {str(k): n for k, n in enumerate(names)}
        inner = Packed(table=table, tensors=packed.tensors, where=packed.where)
        bases = tuple(inner.tensor(k) for k in table)
        found = [list(b.shape) for b in bases]
        if packed.table.get("shapes", found) != found:
            said = str(packed.table["shapes"])[:80]
            raise PlanError(f"{packed.where} says shapes {said} and holds {str(found)[:80]}; make the plan again")
        return cls(packed.text("axis"), packed.text("blocks"), bases)

    def digest(self) -> Iterator[bytes]:
        """Its axis, its list of blocks, and its bases."""
        yield f"{self.kind} {self.axis} {self.blocks} {len(self.bases)}".encode()
        for basis in self.bases:
            yield f"{basis.dtype} {list(basis.shape)}".encode()
            yield tensor_bytes(basis)

    @classmethod
    def describe(cls, edits: Sequence["Bridge"]) -> Iterator[str]:
        """A line for each."""
        for edit in edits:
            old, new = edit.bases[0].shape
            cut = f", of which {new} units are left" if new != old else ""
            more = f"; {len(edit.bases) - 1} matrices of {new} x {new} come behind the blocks"
            yield f"rotate {old} units of {edit.axis} in each block{cut}{more}"


EDIT = Bridge
