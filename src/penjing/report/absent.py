"""Figures that no model of a report has: not rows of a table, but a line for each reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.report.build import Row


@dataclass(frozen=True, kw_only=True)
class Absent:
    """Figures by their labels, and the one reason why no model has them."""

    labels: tuple[str, ...]
    reason: str


def present(rows: Sequence[Row]) -> list[Row]:
    """The rows in which a model has a figure."""
    return [row for row in rows if any(_has(c.text) for c in row.cells)]


def absent(rows: Sequence[Row]) -> list[Absent]:
    """The other rows, those with the same reason together; the reason of the last model tells most."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if any(_has(c.text) for c in row.cells):
            continue
        why = next((c.missing for c in reversed(row.cells) if c.missing), "") or "not measured"
        labels = found.setdefault(why, [])
        if row.label not in labels:
            labels.append(row.label)
    return [Absent(labels=tuple(labels), reason=why) for why, labels in found.items()]


def _has(text: str) -> bool:
    return text not in ("not measured", "–")
