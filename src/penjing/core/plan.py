"""A tuple of edits: plain data that can be read, compared, added up and carried out."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penjing.core.edit import Edit
from penjing.core.printing import bars, short, table


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        """What the plan does, kind by kind, and the method that made it."""
        by = f"; made by {self.made['method']}" if "method" in self.made else ""
        return short(f"Plan({'; '.join(self.describe()) or 'no edits'}{by})")

    def _repr_html_(self) -> str:
        """For notebooks: a line for each kind of edit."""
        made = ", ".join(f"{k} {short(str(self.made[k]), 80)}" for k in ("method", "budget", "seed") if k in self.made)
        kept = {a: len(u) for a, u in self.keeps().items()}
        most = max(kept.values(), default=1)
        picture = bars([n / most for n in kept.values()], title="units that stay in each axis that is cut")
        return table(["what the plan does"], [[line] for line in self.describe()], caption=made) + picture

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
