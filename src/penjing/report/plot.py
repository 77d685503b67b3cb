"""Where points and lines of the two small plots go. Geometry only, in per cent of the drawing; no markup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penjing.core import Report
from penjing.report import formats
from penjing.report.build import Speed, known, names
from penjing.report.facts import said


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis: where (per cent) and what it says."""

    place: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """One subject: its number in the legend, its place from the left and the top, and its figures as text."""

    number: int
    name: str
    left: float
    top: float
    across: str
    up: str


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Quality against size. `base_left` and `base_top` are the lines of the original."""

    across: str
    up: str
    log: bool
    better: str
    points: tuple[Point, ...]
    base: str
    base_left: float
    base_top: float
    across_ticks: tuple[Tick, ...]
    up_ticks: tuple[Tick, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One ratio on a line from `low` to `high`: places in per cent, None where there is none."""

    one: float
    value: float
    left: float
    right: float
    predicted: float | None
    null_left: float | None
    null_right: float | None
    ticks: tuple[Tick, ...]


def scatter(report: Report) -> Scatter | None:
    """The plot of a comparison: quality against parameters (or bytes); None below two others with both figures."""
    across = next((n for n in ("parameters", "bytes", "weight_bytes") if _has(report, n)), None)
    up = next((n for n in names(report) if said(report, n).group == "quality" and _has(report, n)), None)
    if across is None or up is None:
        return None
    pairs = [(known(s.figure(across)), known(s.figure(up))) for s in report.subjects]
    whole = [(i, a, b) for i, (a, b) in enumerate(pairs) if a is not None and b is not None and math.isfinite(b)]
    if len(whole) < 3 or whole[0][0] != 0:
        return None
    log = min(b for _, _, b in whole) > 0 and max(b for _, _, b in whole) / min(b for _, _, b in whole) > 4
    left = scale([a for _, a, _ in whole], log=False)
    high = scale([b for _, _, b in whole], log=log)
    base = report.subjects[0]
    units = [_unit(report, n) for n in (across, up)]
    return Scatter(
        across=said(report, across).label,
        up=said(report, up).label,
        log=log,
        better=said(report, up).better,
        points=tuple(
            Point(
                number=i,
                name=report.subjects[i].name,
                left=left.place(a),
                top=100 - high.place(b),
                across=formats.quantity(a, units[0]),
                up=formats.quantity(b, units[1]),
            )
            for i, a, b in whole
            if i
        ),
        base=base.name,
        base_left=left.place(whole[0][1]),
        base_top=100 - high.place(whole[0][2]),
        across_ticks=tuple(Tick(place=left.place(t), text=formats.quantity(t, units[0])) for t in left.ticks(4)),
        up_ticks=tuple(Tick(place=100 - high.place(t), text=formats.quantity(t, units[1])) for t in high.ticks(5)),
        missing=tuple(s.name for s, (a, b) in zip(report.subjects, pairs, strict=True) if a is None or b is None),
    )


def _unit(report: Report, name: str) -> str:
    return next((f.unit for s in report.subjects if (f := s.figure(name)) is not None), "")


def _has(report: Report, name: str) -> bool:
    return sum(known(s.figure(name)) is not None for s in report.subjects) >= 2


@dataclass(frozen=True)
class Scale:
    """A line from low to high, straight or logarithmic."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """Per cent of the way from low to high."""
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return round(100 * (at - low) / (high - low), 2)

    def ticks(self, wanted: int) -> list[float]:
        """Round values inside the scale."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            found = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
            inside = [t for t in found if self.low <= t <= self.high]
            tens = [t for t in inside if str(f"{t:e}")[0] == "1"]
            return tens if len(inside) > 7 and len(tens) >= 2 else inside
        step = _round_step((self.high - self.low) / wanted)
        start = math.ceil(self.low / step)
        return [n * step for n in range(start, math.floor(self.high / step) + 1)]


def scale(values: Sequence[float], *, log: bool) -> Scale:
    """The scale that holds all values, with some room at both ends."""
    low, high = min(values), max(values)
    if log:
        room = (high / low) ** 0.08
        return Scale(low / room, high * room, True)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, False)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)


def gauges(speeds: Sequence[Speed]) -> list[tuple[Speed, Gauge | None]]:
    """Each ratio of times with its line, all on one scale; None for a ratio that is missing."""
    marks = [mark for speed in speeds for mark in _marks(speed)]
    line = scale([1.0, *marks], log=False)
    return [(speed, _gauge(speed, line) if _marks(speed) else None) for speed in speeds]


def _marks(speed: Speed) -> list[float]:
    """What the line of a ratio has to hold; nothing when the ratio is missing."""
    if speed.value is None or not math.isfinite(speed.value):
        return []
    spread, null = speed.spread or 0.0, speed.null_spread or 0.0
    marks = [speed.value - spread, speed.value + spread]
    marks += [speed.predicted] if speed.predicted is not None else []
    return marks + ([speed.null - null, speed.null + null] if speed.null is not None else [])


def _gauge(speed: Speed, line: Scale) -> Gauge:
    value, spread, null = speed.value or 0.0, speed.spread or 0.0, speed.null_spread or 0.0
    return Gauge(
        one=line.place(1.0),
        value=line.place(value),
        left=line.place(value - spread),
        right=line.place(value + spread),
        predicted=None if speed.predicted is None else line.place(speed.predicted),
        null_left=None if speed.null is None else line.place(speed.null - null),
        null_right=None if speed.null is None else line.place(speed.null + null),
        ticks=tuple(Tick(place=line.place(t), text=f"{t:.3g}") for t in line.ticks(4)),
    )
