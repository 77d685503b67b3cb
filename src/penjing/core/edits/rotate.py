"""Rotate an axis, the gains of its norms folded into those who read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from penjing.core.edit import Packed, tensor_bytes
from penjing.errors import PlanError


@dataclass(frozen=True, eq=False)
class Rotate:
    """Write an axis of n units in another basis, wherever it occurs; a stream x [n] becomes x @ basis.

    `basis` [n m] has orthonormal columns. With as many columns as units the function stays what it is; with fewer, the
    axis is cut to m units, which hold what of the stream lies in their span. `fold` puts the gains of the norms over
    the axis into the weights that read them: without it, only an axis whose norms have no gain can be rotated.
    """

    axis: str
    basis: Tensor
    fold: bool = True

    kind: ClassVar[str] = "rotate"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Rotate)
            and (self.axis, self.fold) == (other.axis, other.fold)
            and torch.equal(self.basis, other.basis)
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
        """The basis as it is."""
        name = f"{prefix}basis"
        shape = list(self.basis.shape)
        table = {"edit": self.kind, "axis": self.axis, "basis": name, "shape": shape, "fold": self.fold}
        return Packed(table=table, tensors={name: self.basis})

    @classmethod
    def unpack(cls, packed: Packed) -> "Rotate":
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        axis, basis, fold = packed.text("axis"), packed.tensor("basis"), packed.table.get("fold")
        if packed.table.get("shape", list(basis.shape)) != list(basis.shape):
            said, found = packed.table["shape"], list(basis.shape)
            raise PlanError(f"{packed.where} says shape {said} and holds {found}; make the plan again")
        if not isinstance(fold, bool):
            raise PlanError(f"{packed.where} has 'fold' {str(fold)[:40]!r}; true or false was needed")
        return cls(axis, basis, fold)

    def digest(self) -> Iterator[bytes]:
        """Its axis, its basis, and whether it folds."""
        yield f"{self.kind} {self.axis} {self.fold} {self.basis.dtype} {list(self.basis.shape)}".encode()
        yield tensor_bytes(self.basis)

    @classmethod
    def describe(cls, edits: Sequence["Rotate"]) -> Iterator[str]:
        """A line for each rotation."""
        for edit in edits:
            old, new = edit.basis.shape
            cut = f", of which {new} units are left" if new != old else ""
            yield f"rotate {old} units of {edit.axis}{cut}{'; gains of norms are folded' if edit.fold else ''}"


EDIT = Rotate
