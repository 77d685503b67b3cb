"""Instructions by kind: how many were followed, strictly and loosely, model by model."""

from dataclasses import dataclass
from typing import Any

from penjing.core import Report
from penjing.report import formats
from penjing.report.build import names
from penjing.report.facts import said
from penjing.report.views.lines import Mark, finite, marks


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One model on one kind: shares 0 to 100 for the bar, and the text; None where it was not measured."""

    mark: Mark
    strict: float | None
    loose: float | None
    text: str


@dataclass(frozen=True, kw_only=True)
class KindRow:
    """One kind of instruction."""

    label: str
    n: int
    cells: tuple[Followed, ...]


@dataclass(frozen=True, kw_only=True)
class KindTable:
    """One figure's instructions by kind."""

    name: str
    label: str
    models: tuple[Mark, ...]
    rows: tuple[KindRow, ...]


def kinds(report: Report) -> list[KindTable]:
    """One table per figure with `details["kinds"]`: {kind: {"n", "strict", "loose"}}, counts or shares."""
    out = []
    for name in names(report):
        found = [
            (m, f.details["kinds"])
            for m, s in zip(marks(report), report.subjects, strict=True)
            if (f := s.figure(name)) is not None and isinstance(f.details.get("kinds"), dict)
        ]
        listed = sorted({str(k) for _, table in found for k in table})
        if listed:
            rows = tuple(_row(k, found) for k in listed)
            models = tuple(m for m, _ in found)
            out.append(KindTable(name=name, label=said(report, name).label, models=models, rows=rows))
    return out


def _row(name: str, found: list[tuple[Mark, Any]]) -> KindRow:
    cells, most = [], 0
    for mark, table in found:
        given = table.get(name)
        given = given if isinstance(given, dict) else {}
        n = int(finite(given.get("n")) or 0)
        strict, loose = (_share(given.get(k), n) for k in ("strict", "loose"))
        text = "\u2013" if strict is None else formats.quantity(strict, "fraction")
        if strict is not None and loose is not None and loose != strict:
            text += f" ({formats.quantity(loose, 'fraction')})"
        bars = (None if v is None else round(100 * min(1.0, max(0.0, v)), 1) for v in (strict, loose))
        cells.append(Followed(mark=mark, strict=next(bars), loose=next(bars), text=text))
        most = max(most, n)
    label = name.replace("_", " ").replace(":", ": ")
    return KindRow(label=label[:1].upper() + label[1:], n=most, cells=tuple(cells))


def _share(value: Any, n: int) -> float | None:
    """A share: whole numbers are counts of `n`, numbers with a point are shares already."""
    number = finite(value)
    if number is None:
        return None
    return number / n if isinstance(value, int) and n > 0 else number
