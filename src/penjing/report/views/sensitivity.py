"""What cutting each axis alone adds: lines from the first block to the last, and a table in shades."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.report import formats
from penjing.report.picture import plain
from penjing.report.views.auto import WHAT
from penjing.report.views.grids import STEPS, Cell
from penjing.report.views.lines import DASHES, Chart, Lines, Mark, Series, Spot, finite, lines, tick

DECADES = 3
"""Over how many powers of ten the shades go, from the largest increase down."""
FEWEST = 4
"""From how many axes on lines are drawn."""
APART = 10
"""How many times the median the largest increase is, from which on heights go by powers of ten."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One axis: a cell for each fraction, and what goes at the smallest of them."""

    axis: str
    cells: tuple[Cell, ...]
    gone: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The axes of one kind; `drawing` has a line for each fraction."""

    label: str
    rows: tuple[Row, ...]
    drawing: Lines | None


@dataclass(frozen=True, kw_only=True)
class Sensed:
    """All that is shown. `marks` are those of the fractions, `notes` (axis, reason) where nothing was removed."""

    said: str
    unit: str
    data: str
    method: str
    marks: tuple[Mark, ...]
    panels: tuple[Panel, ...]
    pale: str
    dark: str
    notes: tuple[tuple[str, str], ...]


def sensitivity(made: Mapping[str, Any]) -> Sensed | None:
    """What a report's provenance tells of a measured sensitivity, or None."""
    found = made.get("sensitivity")
    if not isinstance(found, Mapping) or not found.get("cuts"):
        return None
    cuts: Sequence[Mapping[str, Any]] = found["cuts"]
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for cut in cuts:
        kinds.setdefault(str(cut["kind"]), []).append(cut)
    high = max((v for c in cuts for p in c["points"] if (v := finite(p["increase"])) is not None), default=0.0)
    shown = tuple(
        Mark(number=i, name=f"{formats.percent(f)} kept", look=1 + i % 7, dash=DASHES[i % len(DASHES)])
        for i, f in enumerate(found["fractions"])
    )
    what = WHAT.get(str(found.get("objective")), "the objective")
    return Sensed(
        said=summary(found),
        unit=what,
        data=data_of(found),
        method=str(found["method"]),
        marks=shown,
        panels=tuple(_panel(kind, members, shown, high, what) for kind, members in kinds.items()),
        pale=f"{tick(float(f'{high / 10**DECADES:.2g}'), False)} and less",
        dark=signed(high),
        notes=tuple(
            (f"{c['axis']}, {formats.percent(p['keep'])} kept", str(p["note"]))
            for c in cuts for p in c["points"] if p["note"]
        ),
    )  # fmt: skip


def summary(found: Mapping[str, Any]) -> str:
    """One sentence: which axis costs most at the middle fraction, which least, and how many are not clear."""
    fractions = found["fractions"]
    keep = fractions[len(fractions) // 2]
    tried = [(c["axis"], p) for c in found["cuts"] for p in c["points"] if p["keep"] == keep]
    there = [(axis, p) for axis, p in tried if p["increase"] is not None]
    if not there:
        return f"Nothing was removed at {formats.percent(keep)} kept"
    ranked = sorted(there, key=lambda pair: -pair[1]["increase"])
    (first, top), (last, low) = ranked[0], ranked[-1]
    out = f"With {formats.percent(keep)} kept, {first} costs most: {signed(top['increase'])} nats ({span(top)})"
    if len(ranked) > 1:
        unclear = sum(p["low"] <= 0 for _, p in there)
        out += f"; {last} least: {signed(low['increase'])}"
        out += f"; of {len(there)} axes {unclear} show no clear loss" if unclear else f"; all {len(there)} show a loss"
    return out


def data_of(found: Mapping[str, Any]) -> str:
    """What was measured on: `8 rows of 128 tokens, none of them calibrated on`."""
    held = found.get("told", {}).get("held out", {})
    rows = f"{held['rows']} rows of {held['length']} tokens" if "rows" in held else f"{found['examples']} examples"
    return f"{rows}, none of them calibrated on"


def signed(value: float) -> str:
    """A difference to three digits, with its sign."""
    return ("+" if value > 0 else "") + tick(float(f"{value:.3g}"), False)


def span(point: Mapping[str, Any]) -> str:
    """The interval of a point as text."""
    return f"{signed(point['low'])} to {signed(point['high'])}"


def _panel(kind: str, cuts: Sequence[Mapping[str, Any]], shown: Sequence[Mark], high: float, what: str) -> Panel:
    rows = tuple(
        Row(axis=str(c["axis"]), cells=tuple(_cell(p, high) for p in c["points"]), gone=_gone(c["points"][-1]))
        for c in cuts
    )
    drawing = _drawing(kind, cuts, shown, what) if len(cuts) >= FEWEST else None
    return Panel(label=plain(kind), rows=rows, drawing=drawing)


def _cell(point: Mapping[str, Any], high: float) -> Cell:
    value = finite(point["increase"])
    if value is None:
        return Cell(text="", shade=None, said=str(point["note"]))
    down = math.log10(high / value) if value > 0 and high > 0 else DECADES
    shade = min(STEPS - 1, max(0, int((1 - down / DECADES) * STEPS)))
    return Cell(text=signed(value), shade=shade, said=f"{signed(value)} ({span(point)}), {_gone(point)}")


def _gone(point: Mapping[str, Any]) -> str:
    units, whole = int(point["gone"]), int(point["gone"]) + int(point["kept"])
    return f"{units:,} of {whole:,} units, {formats.quantity(float(point['parameters']), 'parameters')} parameters"


def _drawing(kind: str, cuts: Sequence[Mapping[str, Any]], shown: Sequence[Mark], what: str) -> Lines | None:
    numbers = [str(c["axis"]).rpartition(".")[2] for c in cuts]
    numbered = all(n.isdigit() for n in numbers) and len(set(numbers)) == len(numbers)
    places = [float(n) if numbered else float(i) for i, n in enumerate(numbers)]
    floor = _floor(cuts)
    series = []
    for i, mark in enumerate(shown):
        spots = tuple(_spot(x, p, floor) for x, c in zip(places, cuts, strict=True) if _there(p := c["points"][i]))
        if spots:
            series.append(Series(mark=mark, spots=spots))
    if not series:
        return None
    unit = what.split(" ")[0]
    return lines(
        Chart(
            key=f"sensitivity-{kind}", label=plain(kind), across="block" if numbered else "place in the model",
            up=f"added, {unit}" + ("" if floor is None else f", by powers of ten; {floor:.2g} and less at the foot"),
            series=tuple(series), log=floor is not None,
        )
    )  # fmt: skip


def _there(point: Mapping[str, Any]) -> bool:
    return finite(point["increase"]) is not None


def _floor(cuts: Sequence[Mapping[str, Any]]) -> float | None:
    """Where one increase dwarfs the others: the lowest height that is told apart, as the shades do; else None."""
    found = sorted(float(p["increase"]) for c in cuts for p in c["points"] if _there(p))
    if not found or found[-1] <= APART * max(found[len(found) // 2], 0.0):
        return None
    return found[-1] / 10**DECADES


def _spot(x: float, point: Mapping[str, Any], floor: float | None) -> Spot:
    y, low, high = (float(point[k]) for k in ("increase", "low", "high"))
    least = -math.inf if floor is None else floor
    return Spot(x=x, y=max(y, least), low=max(low, least), high=max(high, least))
