"""Lines with bands and marked points: geometry in per cent of the drawing, one drawing for curves of all kinds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core import Report
from penjing.report.plot import Scale, Tick, scale

MARKS = 8
"""How many models have a colour, a shape and a dash of their own; the ninth looks like the first."""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2", "1 2", "12 4", "6 2 1 2 1 2")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a model looks in every drawing: `look` picks colour and shape, `dash` is its line; `number` is its place."""

    number: int
    name: str
    look: int
    dash: str


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A point of a series: values, the ends of its interval if it has one, and how many items are behind it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    n: float | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """The points of one model, from left to right."""

    mark: Mark
    spots: tuple[Spot, ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a drawing shows, before it is placed.

    `diagonal` draws x = y; `level` a line at that height; `thread` joins all points in order. With a `legend` the
    series are no models of the report, and are named under the heading.
    """

    key: str
    label: str
    across: str
    up: str
    series: tuple[Series, ...]
    diagonal: bool = False
    level: float | None = None
    percent: bool = False
    percent_across: bool = False
    log: bool = False
    thread: bool = False
    legend: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series as path data and the places of its points, in per cent."""

    mark: Mark
    path: str
    band: str
    whiskers: str
    pins: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A placed drawing; y runs down from the top."""

    chart: Chart
    lines: tuple[Line, ...]
    across_ticks: tuple[Tick, ...]
    up_ticks: tuple[Tick, ...]
    diagonal: str
    thread: str
    level: float | None


def marks(report: Report) -> list[Mark]:
    """One mark for each model, in order."""
    return [
        Mark(number=i, name=s.name, look=i % MARKS, dash=DASHES[i % MARKS]) for i, s in enumerate(report.subjects)
    ]


def finite(value: Any) -> float | None:
    """The value as a finite number, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def column(found: Any, key: str) -> list[float | None]:
    """A list of numbers under a key, with None where an entry is none; empty when there is no list."""
    listed = found.get(key) if isinstance(found, dict) else None
    return [finite(v) for v in listed] if isinstance(listed, list | tuple) else []


def lines(chart: Chart) -> Lines:
    """The drawing of a chart."""
    spots = [s for one in chart.series for s in one.spots]
    ends = [v for s in spots for v in (s.y, s.low, s.high) if v is not None]
    ends += [] if chart.level is None else [chart.level]
    if chart.diagonal:
        across, up = Scale(0.0, 1.0, False), Scale(0.0, 1.0, False)
    else:
        across, up = scale([s.x for s in spots] or [0.0, 1.0], log=False), scale(ends or [0.0, 1.0], log=chart.log)
    below, beside = (across.ticks(2), up.ticks(3)) if chart.thread else (across.ticks(4), up.ticks(4))
    return Lines(
        chart=chart,
        lines=tuple(_line(one, across, up) for one in chart.series),
        across_ticks=tuple(
            Tick(place=across.place(t), text=text)
            for t, text in zip(below, tick_texts(below, chart.percent_across), strict=True)
        ),
        up_ticks=tuple(
            Tick(place=100 - up.place(t), text=text)
            for t, text in zip(beside, tick_texts(beside, chart.percent), strict=True)
        ),
        diagonal="M0 100L100 0" if chart.diagonal else "",
        thread=_thread(spots, across, up) if chart.thread else "",
        level=None if chart.level is None else 100 - up.place(chart.level),
    )


def tick(value: float, percent: bool, digits: int = 4) -> str:
    """A tick's number."""
    text = f"{value * 100:.{digits}g} %" if percent else f"{value:.{digits}g}"
    return text.replace("-", "\u2212")


def tick_texts(values: Sequence[float], percent: bool) -> list[str]:
    """The numbers of an axis's ticks, with as many digits as tell them apart.

    >>> tick_texts([0.99985, 0.9999], False), tick_texts([0.5, 1.0], True)
    (['0.99985', '0.9999'], ['50 %', '100 %'])
    """
    texts: list[str] = []
    for digits in range(4, 17):
        texts = [tick(v, percent, digits) for v in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts


def _line(one: Series, across: Scale, up: Scale) -> Line:
    places = [(across.place(s.x), round(100 - up.place(s.y), 2)) for s in one.spots]
    path = "".join(f"{'L' if i else 'M'}{x:g} {y:g}" for i, (x, y) in enumerate(places))
    ends = [(across.place(s.x), up.place(s.low), up.place(s.high)) for s in one.spots if s.low and s.high]
    single = len(one.spots) == 1
    return Line(
        mark=one.mark,
        path="" if single else path,
        band=_band(one.spots, across, up),
        whiskers="".join(f"M{x:g} {100 - low:g}V{100 - high:g}" for x, low, high in ends) if single else "",
        pins=tuple(places),
    )


def _thread(spots: Sequence[Spot], across: Scale, up: Scale) -> str:
    places = sorted((across.place(s.x), 100 - up.place(s.y)) for s in spots)
    return "".join(f"{'L' if i else 'M'}{x:g} {y:g}" for i, (x, y) in enumerate(places))


def _band(spots: Sequence[Spot], across: Scale, up: Scale) -> str:
    whole = [(s.x, s.low, s.high) for s in spots if s.low is not None and s.high is not None]
    there = [(across.place(x), up.place(low), up.place(high)) for x, low, high in whole]
    if len(there) < 2:
        return ""
    over = "".join(f"{'L' if i else 'M'}{x:g} {100 - high:g}" for i, (x, _, high) in enumerate(there))
    under = "".join(f"L{x:g} {100 - low:g}" for x, low, _ in reversed(there))
    return f"{over}{under}z"
