"""The report as one HTML page that needs nothing else: no network, no fonts, no scripts to be read."""

import json
import re
from functools import cache
from typing import Any

from penjing.core import Report
from penjing.errors import PenjingError
from penjing.report import formats
from penjing.report.absent import absent, present
from penjing.report.build import rows, speeds
from penjing.report.charts import embedded, figures_data, there
from penjing.report.comparison_rows import compared
from penjing.report.elsewhere import other_files
from penjing.report.environment import environment
from penjing.report.headline import answer
from penjing.report.picture import picture
from penjing.report.plot import gauges, scatter
from penjing.report.provenance import command_of, limits, loading, made
from penjing.report.social import PICTURE, tiles
from penjing.report.store import to_json
from penjing.report.views import (
    asked,
    block_bars,
    classes,
    correlations,
    curves,
    depths,
    differences,
    flips,
    grids,
    kinds,
    lines,
    marks,
    reasons,
    reliability,
    sensitivity,
    size_curves,
    sweep,
    tournament,
    withheld,
    zeros,
)

SECTIONS = (
    ("network", "The network"), ("tradeoff", "What smaller costs"), ("figures", "The figures"),
    ("block_bars", "Blocks"), ("answers", "Side by side"),
    ("differences", "Real differences"), ("sweep", "What breaks"), ("corruptions", "Corruption"),
    ("curves", "Curves"), ("reliability", "Calibration"), ("kinds", "Instructions"), ("items", "Items"),
    ("speed", "Speed"), ("sensitivity", "Sensitivity"), ("tournament", "The choice"), ("load", "Load it"),
    ("elsewhere", "Other runtimes"),
    ("made", "How it was made"), ("limits", "Limits"),
)  # fmt: skip
"""The headings of the page, by their anchors."""
WHEN = {
    "network": "picture", "tradeoff": "scatter", "figures": "report", "corruptions": "grids", "items": "flips",
    "answers": "asked", "speed": "speeds", "load": "loading", "made": "report", "limits": "report",
}  # fmt: skip
"""Anchor -> what must be there for the section to be shown, where it is not of the same name."""


OFFER = "With pip install 'penjing[charts]' the axes can be chosen and points and lines answer to the pointer."
"""What the page says in place of the charts that answer."""


def page(report: Report, *, charts: bool | None = None) -> str:
    """The whole page as text. Every name in the report is escaped.

    `charts` embeds Vega charts (0.9 MB) where the report has something to draw with them: from three models on, or
    curves. None means: if `penjing[charts]` is installed. Without them the same page has still drawings.

    Raises:
        DataError: the report holds something that is not plain data.
        PenjingError: `charts` was asked for and the packages are not installed.
    """
    if charts and not there():
        raise PenjingError("charts need altair and vl-convert-python, which are not installed; install penjing[charts]")
    return _template().render(**view(report, charts=there() if charts is None else charts))


@cache
def _template() -> Any:
    """The page's template, compiled once."""
    made = environment()
    made.filters["bind"] = bind
    made.filters["bare"] = formats.without_spread
    made.filters["arrow"] = formats.arrow
    made.filters["ratio"] = formats.ratio
    return made.get_template("page.html")


def view(report: Report, *, charts: bool) -> dict[str, Any]:
    """Everything the template shows, ready to be shown."""
    every = rows(report)
    lines_of = present(every)
    said, unsaid = answer(report)
    shown: dict[str, Any] = {
        "report": report,
        "pair": len(report.subjects) == 2,
        "many": len(report.subjects) > 2,
        "marks": marks(report),
        "numbers": {s.name: i for i, s in reversed(list(enumerate(report.subjects)))},
        "headline": said,
        "linked": PICTURE if there() else "",
        "unsaid": unsaid,
        "tiles": tiles(report, lines_of) if len(report.subjects) == 2 else [],
        "comparison": compared(report) if len(report.subjects) > 2 else [],
        "picture": picture(report),
        "rows": lines_of,
        "absent": absent(every),
        "scatter": scatter(report),
        "speeds": gauges(speeds(report)),
        "loading": loading(report),
        "elsewhere": other_files(report.provenance),
        "made": made(report.provenance),
        "limits": limits(report),
        "data": json.dumps(to_json(report), ensure_ascii=False, allow_nan=False, indent=1),
        **_evidence(report),
    }
    if shown["sensitivity"]:
        shown["headline"] = f"{shown['sensitivity'].said}."
    shown["sections"] = [(key, name) for key, name in SECTIONS if shown.get(WHEN.get(key, key), True)]
    return shown | _charts(report, shown, charts)


def _evidence(report: Report) -> dict[str, Any]:
    """What a battery adds: each is empty when the report has nothing of the kind."""
    compared = differences(report)
    return {
        "differences": compared,
        "verdicts": {(c.name, d.mark.number): d for c in compared for d in c.differences if d.verdict},
        "classes": classes(report),
        "sweep": sweep(report),
        "reasons": reasons(report),
        "together": correlations(report),
        "unswept": withheld(report),
        "grids": grids(report),
        "curves": [lines(c) for c in (*size_curves(report), *curves(report))],
        "reliability": [lines(c) for c in reliability(report)],
        "kinds": kinds(report),
        "flips": flips(report),
        "asked": asked(report),
        "block_bars": block_bars(report),
        "repeat": command_of(report),
        "tournament": tournament(report.provenance),
        "sensitivity": sensitivity(report.provenance),
        "depths": depths(report),
        "zeros": zeros(report),
    }


def _charts(report: Report, shown: dict[str, Any], charts: bool) -> dict[str, Any]:
    """The embedded charts, what their axes can be, and the measures that the page's control offers."""
    drawings = [d for d in (*shown["curves"], *shown["reliability"]) if not d.chart.legend]
    tradeoff, wanted = shown["scatter"] is not None, shown["scatter"] is not None or bool(drawings)
    figures = figures_data(report)["figures"]
    out: dict[str, Any] = {
        "metrics": [(n, f["label"]) for n, f in figures.items() if f["group"] == "quality"],
        "across": [(n, f["label"]) for n, f in figures.items() if f["group"] in {"size", "time"}],
        "charts": None,
        "offer": OFFER if wanted and not charts else "",
    }
    if charts and wanted:
        out["charts"] = embedded(report, drawings, tradeoff=tradeoff)
    return out


def bind(text: str) -> str:
    """The same text with numbers bound to what follows or precedes, so that no line ends between them."""
    bound = re.sub(r"(?<=[0-9×]) (?=[%A-Za-zµ]{1,2}\b|%|±|→)", "\u00a0", text)
    return re.sub(r"(?<=[±→]) (?=[0-9])", "\u00a0", bound)
