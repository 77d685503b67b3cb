"""Put another module in the place of one of the model's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from penjing.core.edit import Packed, tensor_bytes
from penjing.core.spec import Spec, check_path, spec_from
from penjing.errors import CheckpointError, PlanError


@dataclass(frozen=True, eq=False)
class Replace:
    """Put what `spec` tells in the place of a module, with its tensors; all that the old one held goes.

    `module` is the path of the old one (`model.layers.0.mlp.up_proj`), `tensors` are by their names in the new one
    (`down.weight`), in the shapes that they have at this point of the plan. Axes that the old module's tensors had are
    axes of the new one's, so that a later edit cuts them.
    """

    module: str
    spec: Spec
    values: Mapping[str, Tensor] = field(default_factory=dict)

    kind: ClassVar[str] = "replace"

    def __repr__(self) -> str:
        """The module and what it becomes, no values."""
        return f"Replace({self.module!r}, {self.spec})"[:2000]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Replace)
            and (self.module, self.spec, self.values.keys()) == (other.module, other.spec, other.values.keys())
            and all(torch.equal(v, other.values[n]) for n, v in self.values.items())
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def tensors(self) -> tuple[str, ...]:
        """None that was there before."""
        return ()

    @property
    def cuts(self) -> Mapping[str, tuple[int, ...]]:
        """None: the axes stay."""
        return {}

    def pack(self, prefix: str) -> Packed:
        """The values as they are, each named by the edit's number and its own name."""
        names = {own: f"{prefix}{own}" for own in self.values}
        shapes = {own: list(v.shape) for own, v in self.values.items()}
        table = {"edit": self.kind, "module": self.module, **self.spec.table(), "tensors": names, "shapes": shapes}
        return Packed(table=table, tensors={names[own]: v for own, v in self.values.items()})

    @classmethod
    def unpack(cls, packed: Packed) -> "Replace":
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        try:
            module, spec = check_path(packed.text("module")), spec_from(packed.table, packed.where)
        except CheckpointError as error:
            raise PlanError(f"{packed.where}: {error}") from error
        names = packed.table.get("tensors")
        if not isinstance(names, Mapping):
            raise PlanError(f"{packed.where} has 'tensors' {str(names)[:80]}; a table of names was needed")
        values = {own: Packed(table=names, tensors=packed.tensors, where=packed.where).tensor(own) for own in names}
        found = {own: list(v.shape) for own, v in values.items()}
        if packed.table.get("shapes", found) != found:
            said = packed.table["shapes"]
            raise PlanError(f"{packed.where} says shapes {said} and holds {found}; make the plan again")
        return cls(module, spec, values)

    def digest(self) -> Iterator[bytes]:
        """The module, what it becomes, and the values."""
        yield f"{self.kind} {self.module} {json.dumps(self.spec.table(), sort_keys=True)}".encode()
        for own in sorted(self.values):
            yield f"{own} {self.values[own].dtype} {list(self.values[own].shape)}".encode()
            yield tensor_bytes(self.values[own])

    @classmethod
    def describe(cls, edits: Sequence["Replace"]) -> Iterator[str]:
        """How many modules become what."""
        for kind in dict.fromkeys(edit.spec.kind for edit in edits):
            those = [edit for edit in edits if edit.spec.kind == kind]
            numbers = sum(v.numel() for edit in those for v in edit.values.values())
            yield f"replace {len(those)} modules by '{kind}', of {numbers:,} numbers together"


EDIT = Replace
