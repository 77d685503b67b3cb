"""The figures of a report as the page's script reads them: for axes that can be chosen."""

import math
from typing import Any

from penjing.core import Measurement, Report
from penjing.report import formats
from penjing.report.build import known, margin, names, quantity
from penjing.report.facts import said
from penjing.report.views.lines import marks


def figures_data(report: Report) -> dict[str, Any]:
    """`models` in order and `figures` that at least two models have: label, group, scale, chance, and points.

    A point is [value, low, high, text] of a model, or null. Low and high are 1.96 standard errors away.
    """
    figures = {}
    for name in names(report):
        points = [_point(s.figure(name)) for s in report.subjects]
        values = [p[0] for p in points if p is not None]
        if len(values) < 2:
            continue
        first = next(f for s in report.subjects if (f := s.figure(name)) is not None)
        spoken = said(report, name)
        chance = next((f.chance for s in report.subjects if (f := s.figure(name)) and f.chance is not None), None)
        scale = _scale(first.unit)
        figures[name] = {
            "label": spoken.label,
            "group": spoken.group,
            "better": spoken.better,
            "scale": scale,
            "log": spoken.group == "quality" and scale != "share" and min(values) > 0 and max(values) > 8 * min(values),
            "chance": chance,
            "points": points,
        }
    models = [{"n": m.number, "name": m.name, "look": m.look} for m in marks(report)]
    return {"models": models, "figures": figures}


def _point(figure: Measurement | None) -> list[Any] | None:
    value = known(figure)
    if figure is None or value is None or not math.isfinite(value):
        return None
    half = margin(figure)[0]
    half = 1.96 * half if half is not None and "error" in figure.spread_kind and math.isfinite(half) else None
    low, high = (None, None) if half is None else (value - half, value + half)
    return [value, low, high, quantity(figure)]


def _scale(unit: str) -> str:
    """Which of the script's formats of numbers fits the unit."""
    base = unit.split("/")[0].split(" per ")[0].split(" of ")[0].strip().lower()
    table = (
        (formats.BYTES, "bytes"), (formats.SECONDS, "seconds"), (formats.FRACTIONS, "share"), (formats.COUNTS, "count")
    )
    return next((name for known_units, name in table if base in known_units), "plain")
