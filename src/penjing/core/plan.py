"""A tuple of edits: plain data that can be read, compared, added up and carried out."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penjing.core.edit import Edit


@dataclass(frozen=True)
class Plan:
    """Edits, carried out in order, and where they came from.

    `made` tells method, settings, budget, seed and data, for people and for repeating it; it takes no part in
    what the plan does.
    """

    edits: tuple[Edit, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: "Plan") -> "Plan":
        """This plan, then the other. Units in the second are numbered as the first leaves them."""
        return Plan(self.edits + other.edits, {**self.made, **other.made})

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.edits)

    def keeps(self) -> dict[str, tuple[int, ...]]:
        """Axis -> units of the model before the plan that stay, of all axes of which the plan takes units away."""
        out: dict[str, tuple[int, ...]] = {}
        for edit in self.edits:
            for axis, units in edit.cuts.items():
                before = out.get(axis)
                out[axis] = units if before is None else tuple(before[u] for u in units)
        return out

    def digest(self) -> str:
        """Hexadecimal SHA-256 of what the plan does; where it came from takes no part."""
        found = hashlib.sha256()
        for edit in self.edits:
            for part in edit.digest():
                found.update(part)
        return found.hexdigest()

    def describe(self) -> Iterator[str]:
        """Lines for people, kind by kind of edit, in the order in which the kinds first come."""
        kinds = {edit.kind: type(edit) for edit in self.edits}
        for kind, of in kinds.items():
            yield from of.describe([edit for edit in self.edits if edit.kind == kind])
