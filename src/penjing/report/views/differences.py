"""Comparisons with the original: the paired difference, its interval, its p value after Holm, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penjing.core import Measurement, Report
from penjing.report import formats
from penjing.report.build import known, names, reason
from penjing.report.facts import said
from penjing.report.figures import DIFFERENCE as TAIL
from penjing.report.provenance import as_text
from penjing.report.views.lines import Mark, finite, marks


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One model against the original on one figure, as text; places of the interval in per cent, 50 is none."""

    mark: Mark
    value: str
    interval: str
    p: str
    p_holm: str
    flips: str
    verdict: str
    tone: str
    missing: str
    left: float | None
    middle: float | None
    right: float | None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """All models on one figure; the scale of the interval lines is the figure's own."""

    name: str
    label: str
    differences: tuple[Difference, ...]
    protocol: str


def differences(report: Report) -> list[Compared]:
    """Every comparison that the report holds, by figure in the order of the table."""
    found: dict[str, list[Measurement]] = {}
    for one in report.ratios:
        if one.name.endswith(TAIL):
            found.setdefault(str(one.details.get("figure", one.name.removesuffix(TAIL))), []).append(one)
    order = [*(n for n in names(report) if n in found), *(n for n in found if n not in names(report))]
    return [c for name in order if (c := _compared(report, name, found[name])).differences]


def _compared(report: Report, name: str, found: list[Measurement]) -> Compared:
    by_name = {m.name: m for m in reversed(marks(report))}
    reach = max([abs(v) for f in found for v in (finite(f.value), *_interval(f.details)) if v is not None] or [0.0])
    known_marks = [(by_name[s], f) for f in found if (s := str(f.details.get("subject", ""))) in by_name]
    known_marks.sort(key=lambda pair: pair[0].number)
    unit = next((f.unit for s in report.subjects if (f := s.figure(name))), found[0].unit)
    spoken = said(report, name)
    return Compared(
        name=name,
        label=spoken.label,
        differences=tuple(_difference(m, f, unit, spoken.better, reach) for m, f in known_marks),
        protocol=next((f.protocol for f in found if f.protocol), ""),
    )


def _difference(mark: Mark, figure: Measurement, unit: str, better: str, reach: float) -> Difference:
    value, (low, high) = known(figure), _interval(figure.details)
    places = [None if v is None or reach <= 0 else round(50 + 46 * v / reach, 2) for v in (low, value, high)]
    shown = signed(value, unit) if value is not None else ""
    interval = "" if low is None or high is None else f"{signed(low, unit)} to {signed(high, unit)}"
    return Difference(
        mark=mark,
        value=shown,
        interval=interval.replace(" points to ", " to "),
        p=p_value(figure.details.get("p")),
        p_holm=p_value(figure.details.get("p_holm")),
        flips=_flips(figure.details.get("flips")),
        verdict=str(figure.details.get("verdict") or ""),
        tone=_tone(str(figure.details.get("verdict") or ""), (value, low, high), better),
        missing=reason(figure) if value is None else "",
        left=places[0],
        middle=places[1],
        right=places[2],
    )


def _interval(details: Mapping[str, Any]) -> tuple[float | None, float | None]:
    given = details.get("interval")
    if isinstance(given, list | tuple) and len(given) == 2:
        return finite(given[0]), finite(given[1])
    return None, None


def _tone(verdict: str, ends: tuple[float | None, float | None, float | None], better: str) -> str:
    """What the verdict says; without one, `better` or `worse` only where the whole interval lies on one side."""
    if verdict:
        return verdict if verdict in {"better", "worse"} else "even"
    value, low, high = ends
    if value is None or low is None or high is None or low <= 0 <= high or better == "unknown":
        return "even"
    return "better" if (value > 0) == (better == "higher") else "worse"


def signed(value: float, unit: str) -> str:
    """A difference with its sign: `−1.3 points` for shares, `+0.42` for the rest."""
    if formats.is_share(unit):
        return formats.points(value) if value else "0 points"
    return ("+" if value > 0 else "") + formats.quantity(value, unit.partition(" per ")[0])


def p_value(value: Any) -> str:
    """A p value to two digits, `< 0.001` below that; empty when there is none."""
    number = finite(value)
    if number is None:
        return ""
    return "< 0.001" if number < 0.001 else f"{number:.2g}" if number < 0.0995 else f"{number:.2f}"


def _flips(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) == 2:
        return f"{value[0]} lost, {value[1]} won"
    if isinstance(value, Mapping):
        return ", ".join(f"{as_text(v)} {str(k).replace('_', ' ')}" for k, v in value.items())
    return "" if value is None else as_text(value)
