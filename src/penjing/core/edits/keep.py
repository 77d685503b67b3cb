"""Keep some units of an axis."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from penjing.core.edit import Packed
from penjing.errors import PlanError

RUN = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
MOST_UNITS = 100_000_000


@dataclass(frozen=True)
class Keep:
    """Keep these units of an axis, in this order, wherever the axis occurs; `units` ascend."""

    axis: str
    units: tuple[int, ...]

    kind: ClassVar[str] = "keep"

    def __repr__(self) -> str:
        """The units, as long as they are few runs, else how many."""
        text = runs(self.units)
        return f"Keep({self.axis!r}, {text if len(text) <= 60 else f'{len(self.units)} units'})"

    @property
    def tensors(self) -> tuple[str, ...]:
        """None: it speaks of an axis."""
        return ()

    @property
    def cuts(self) -> Mapping[str, tuple[int, ...]]:
        """Its axis and its units."""
        return {self.axis: self.units}

    def pack(self, prefix: str) -> Packed:
        """The units as text such as "0-5,7"."""
        del prefix  # it has no tensors
        table = {"edit": self.kind, "axis": self.axis, "units": runs(self.units), "kept": len(self.units)}
        return Packed(table=table)

    @classmethod
    def unpack(cls, packed: Packed) -> "Keep":
        """The edit that `pack` packed.

        Raises:
            PlanError: it is something else.
        """
        axis, text = packed.text("axis"), packed.text("units")
        try:
            kept = units(text)
        except ValueError as error:
            raise PlanError(f"{packed.where}: {error}; mend it or make the plan again") from error
        said = packed.table.get("kept", len(kept))
        if said != len(kept):
            raise PlanError(f"{packed.where} says it keeps {said} units and lists {len(kept)}; make them agree")
        return cls(axis, kept)

    def digest(self) -> Iterator[bytes]:
        """Its axis and its units."""
        yield f"{self.kind} {self.axis} {self.units}".encode()

    @classmethod
    def describe(cls, edits: Sequence["Keep"]) -> Iterator[str]:
        """A line for each kind of axis and count of units."""
        for (kind, count), axes in Counter((e.axis.split(".")[0], len(e.units)) for e in edits).items():
            yield f"keep {count} units in each of {axes} axes of kind {kind}"


EDIT = Keep


def runs(units: Sequence[int]) -> str:
    """Units as text: "0-5,7" for 0 to 5 and 7; empty for none.

    >>> runs((0, 1, 2, 5))
    '0-2,5'
    """
    parts: list[list[int]] = []
    for unit in units:
        if parts and unit == parts[-1][1] + 1:
            parts[-1][1] = unit
        else:
            parts.append([unit, unit])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def units(text: str) -> tuple[int, ...]:
    """The units that `runs` wrote.

    Raises:
        ValueError: the text is something else, or units do not ascend.
    """
    out: list[int] = []
    for part in text.split(",") if text else []:
        match = RUN.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:40]!r} is not a unit or a range of units such as 0-5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or (out and first <= out[-1]):
            raise ValueError(f"units must ascend, and {part!r} does not")
        if last - first + len(out) >= MOST_UNITS:
            raise ValueError(f"{part!r} makes more than {MOST_UNITS} units")
        out.extend(range(first, last + 1))
    return tuple(out)
