"""Sensitivity curves and reliability diagrams, one chart per figure with a series per model."""

from collections.abc import Callable
from typing import Any

from penjing.core import Measurement, Report
from penjing.report import formats
from penjing.report.build import names
from penjing.report.facts import said
from penjing.report.views.lines import Chart, Mark, Series, Spot, column, marks


def curves(report: Report) -> list[Chart]:
    """One chart per figure with `details["curve"]`: {"x", "y", "low", "high", "x_name", "y_name"}."""
    return [c for name in names(report) if (c := _chart(report, name, "curve", _curve)) is not None]


def reliability(report: Report) -> list[Chart]:
    """One chart per figure with `details["bins"]`: {"confidence", "accuracy", "count"}; empty bins are left out."""
    return [c for name in names(report) if (c := _chart(report, name, "bins", _bins)) is not None]


def _chart(report: Report, name: str, key: str, read: Callable[[Any], tuple[Spot, ...]]) -> Chart | None:
    series, first = [], None
    for mark, figure in _with(report, name, key):
        first = first or figure
        if spots := read(figure.details[key]):
            series.append(Series(mark=mark, spots=spots))
    if first is None or not series:
        return None
    label = said(report, name).label
    if key == "bins":
        return Chart(
            key=f"bins-{name}", label=label, across="confidence", up="share that was right", series=tuple(series),
            diagonal=True, percent=True, percent_across=True,
        )  # fmt: skip
    drawn = first.details[key]
    return Chart(
        key=f"curve-{name}",
        label=label,
        across=str(drawn.get("x_name") or "x"),
        up=str(drawn.get("y_name") or label),
        series=tuple(series),
        level=first.chance,
        percent=formats.is_share(first.unit) and _shares(series),
    )


def _with(report: Report, name: str, key: str) -> list[tuple[Mark, Measurement]]:
    found = [(m, s.figure(name)) for m, s in zip(marks(report), report.subjects, strict=True)]
    return [(m, f) for m, f in found if f is not None and isinstance(f.details.get(key), dict)]


def _shares(series: list[Series]) -> bool:
    return all(-1 <= s.y <= 1 for one in series for s in one.spots)


def _curve(found: Any) -> tuple[Spot, ...]:
    across, up, low, high = (column(found, k) for k in ("x", "y", "low", "high"))
    none: list[float | None] = [None] * len(up)
    ends = zip(across, up, low if len(low) == len(up) else none, high if len(high) == len(up) else none, strict=False)
    spots = [Spot(x=x, y=y, low=lo, high=hi) for x, y, lo, hi in ends if x is not None and y is not None]
    return tuple(sorted(spots, key=lambda s: s.x))


def _bins(found: Any) -> tuple[Spot, ...]:
    sure, right, count = (column(found, k) for k in ("confidence", "accuracy", "count"))
    counts = count if len(count) == len(sure) else [None] * len(sure)
    triples = zip(sure, right, counts, strict=False)
    return tuple(Spot(x=x, y=y, n=n) for x, y, n in triples if x is not None and y is not None and n != 0)
