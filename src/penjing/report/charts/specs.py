"""The charts as Altair builds them, compiled to Vega, so that the page need not compile.

Colours are the page's own (`var(--m0)`), so that a chart turns dark, or black and white on paper, with the page.
"""

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from penjing.report.views.lines import DASHES, MARKS, Chart

COLOURS = [f"var(--m{i})" for i in range(MARKS)]
SHAPES = [
    "circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left",
]  # fmt: skip
FONT = "system-ui, sans-serif"
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--line)", "gridColor": "var(--line)", "tickColor": "var(--line)", "ticks": False,
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "labelFontSize": 12, "titleFontSize": 12.5,
        "titleFontWeight": 400, "labelPadding": 8, "titlePadding": 12,
    },
    "axisX": {"grid": False, "domainColor": "var(--rim)"},
    "axisY": {"domain": False, "titleAngle": 0, "titleAlign": "left", "titleX": -34, "titleY": -18},
}  # fmt: skip
LABELS = (
    ("right", "left", 11, -11), ("left", "right", -11, -11),
    ("low right", "left", 11, 14), ("low left", "right", -11, 14),
)  # fmt: skip
"""Where a name stands beside its point: side, alignment, and how far off."""
NUMBER = {
    "bytes": "format(V, '.3~s') + 'B'",
    "seconds": "format(V, '.3~s') + 's'",
    "count": "replace(format(V, '.3~s'), 'G', 'B')",
    "share": "format(100 * V, '.3~g') + ' %'",
    "plain": "format(V, '.3~g')",
}


def _altair() -> Any:
    """The package, as a value whose types pyright does not follow: they change from version to version."""
    return import_module("altair")


def pareto() -> dict[str, Any]:
    """Two figures of all models against each other; the script fills `points`, `front` and `base`."""
    alt = _altair()

    names = ("xscale", "yscale", "ylog")
    params = [alt.param(name=n, value=v) for n, v in zip(names, ("plain", "plain", False), strict=True)]
    x = alt.X("x:Q", scale=alt.Scale(zero=False, nice=True, padding=34), axis=_axis("datum.value", "xscale", count=5))
    raised = "(ylog ? pow(10, datum.value) : datum.value)"
    y = alt.Y("y:Q", scale=alt.Scale(zero=False, nice=True, padding=26), axis=_axis(raised, "yscale", count=6))
    points, front, base = (alt.NamedData(name=n) for n in ("points", "front", "base"))
    rules = [
        alt.Chart(base).mark_rule(strokeDash=[4, 4], stroke="var(--ink)", opacity=0.55).encode(**{k: v})
        for k, v in (("x", x), ("y", y))
    ]
    chance = alt.Chart(alt.NamedData(name="chance")).mark_rule(strokeDash=[1, 4], strokeWidth=2, stroke="var(--worse)")
    line = alt.Chart(front).mark_line(interpolate="step-after", stroke="var(--rim)", strokeWidth=2)
    bars = alt.Chart(points).mark_rule(strokeWidth=1.5).encode(x=x, y="low:Q", y2="high:Q", stroke=_colour("look"))
    marks = alt.Chart(points).mark_point(filled=True, size=150, opacity=1, strokeWidth=1.5)
    marks = marks.encode(x=x, y=y, fill=_colour("look"), shape=_shape("look"), tooltip=alt.Tooltip("text:N"))
    said = [
        alt.Chart(points).mark_text(align=align, dx=dx, dy=dy, fontSize=12.5, fill="var(--ink)", limit=190)
        .encode(x=x, y=y, text="name:N").transform_filter(f"datum.side == '{side}'")
        for side, align, dx, dy in LABELS
    ]  # fmt: skip
    layers = [chance.encode(y=y), *rules, line.encode(x=x, y=y), bars, marks, *said]
    return _compiled(alt.layer(*layers).add_params(*params), height=330)


def curve(chart: Chart) -> dict[str, Any]:
    """The lines of a chart with their bands; signal `shown` holds the numbers of the models to draw."""
    alt = _altair()

    rows = [
        {
            "model": one.mark.name, "number": one.mark.number, "look": one.mark.look,
            "x": s.x, "y": s.y, "low": s.low, "high": s.high, "n": s.n,
        }
        for one in chart.series
        for s in one.spots
    ]  # fmt: skip
    numbers = sorted({one.mark.number for one in chart.series})
    shown = alt.param(name="shown", value=numbers)
    data = alt.Chart(alt.InlineData(values=rows)).transform_filter("indexof(shown, datum.number) >= 0")
    spots = [s for one in chart.series for s in one.spots]
    wide, high = (_digits([getattr(s, c) for s in spots]) for c in ("x", "y"))
    x = alt.X("x:Q", scale=_scale(chart.diagonal), axis=_axis_of(chart.across, chart.percent_across, 6, wide))
    y = alt.Y("y:Q", scale=_scale(chart.diagonal), axis=_axis_of(chart.up, chart.percent, 5, high, up=True))
    tips = [alt.Tooltip("model:N"), alt.Tooltip("x:Q", title=chart.across, format=f".{wide}~g")]
    tips.append(alt.Tooltip("y:Q", title=chart.up, format=f".{high}~g"))
    lines = data.mark_line(strokeWidth=2).encode(
        x=x, y=y, stroke=_colour("look"), strokeDash=_dash("look"), detail="number:N"
    )
    pins = data.mark_point(filled=True, size=62, opacity=1).encode(
        x=x, y=y, fill=_colour("look"), shape=_shape("look"), tooltip=tips
    )
    layers = []
    if any(s.low is not None and s.high is not None for one in chart.series for s in one.spots):
        band = data.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_area(opacity=0.14)
        layers.append(band.encode(x=x, y=alt.Y("low:Q"), y2="high:Q", fill=_colour("look"), detail="number:N"))
    if chart.diagonal:
        ends = alt.Chart(alt.InlineData(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}]))
        layers.append(ends.mark_line(strokeDash=[4, 4], stroke="var(--ink)", strokeWidth=1).encode(x=x, y=y))
    if chart.level is not None:
        level = alt.Chart(alt.InlineData(values=[{"y": chart.level}]))
        layers.append(level.mark_rule(strokeDash=[1, 4], strokeWidth=2, stroke="var(--worse)").encode(y=y))
    return _compiled(alt.layer(*layers, lines, pins).add_params(shown), height=290)


def _compiled(chart: Any, *, height: int) -> dict[str, Any]:
    """The chart as Vega, as wide as the place it stands in."""
    import vl_convert

    whole = chart.properties(width="container", height=height, autosize={"type": "fit-x", "contains": "padding"})
    return vl_convert.vegalite_to_vega(whole.configure(**CONFIG).to_dict())


def _axis(value: str, scale: str, *, count: int) -> Any:
    alt = _altair()

    shown = " : ".join(f"{scale} == '{name}' ? {text.replace('V', value)}" for name, text in NUMBER.items())
    return alt.Axis(title=None, labelExpr=f"{shown} : datum.label", tickCount=count)


def _digits(values: Sequence[float]) -> int:
    """As many digits, 3 or more, as tell a few ticks apart between the least and the largest of these."""
    span = max(values, default=0.0) - min(values, default=0.0)
    top = max((abs(v) for v in values), default=0.0)
    return min(15, max(3, math.ceil(math.log10(10 * top / span)) + 1)) if span > 0 else 3


def _axis_of(title: str, percent: bool, count: int, digits: int, up: bool = False) -> Any:
    alt = _altair()

    value = NUMBER["share" if percent else "plain"].replace("V", "datum.value").replace(".3~g", f".{digits}~g")
    return alt.Axis(title=f"\u2191 {title}" if up else title, labelExpr=value, tickCount=count)


def _scale(unit: bool) -> Any:
    alt = _altair()

    return alt.Scale(domain=[0, 1]) if unit else alt.Scale(zero=False, nice=True)


def _colour(field: str) -> Any:
    alt = _altair()

    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(range(MARKS)), range=COLOURS), legend=None)


def _shape(field: str) -> Any:
    alt = _altair()

    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=list(range(MARKS)), range=SHAPES), legend=None)


def _dash(field: str) -> Any:
    alt = _altair()

    dashes = [[float(x) for x in d.split()] or [1, 0] for d in DASHES]
    return alt.StrokeDash(f"{field}:N", scale=alt.Scale(domain=list(range(MARKS)), range=dashes), legend=None)
