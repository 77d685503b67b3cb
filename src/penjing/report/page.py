"""The report as one HTML page that needs nothing else: no network, no fonts, no scripts to be read."""

import json
import re
from typing import Any

from penjing.core import Report
from penjing.report import words
from penjing.report.build import Row, rows, speeds
from penjing.report.headline import answer
from penjing.report.picture import picture
from penjing.report.plot import gauge, scatter
from penjing.report.store import to_json
from penjing.report.story import limits, loading, made

TILES = ("parameters", "bytes", "decode_seconds_per_token", "perplexity")
"""The figures that stand large under the headline, when a report has them; else the first four rows."""


def page(report: Report) -> str:
    """The whole page as text. Every name in the report is escaped.

    Raises:
        DataError: the report holds something that is not plain data.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("penjing.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bind"] = bind
    environment.filters["bare"] = words.without_spread
    environment.filters["ratio"] = words.ratio
    return environment.get_template("page.html").render(**view(report))


def view(report: Report) -> dict[str, Any]:
    """Everything the template shows, ready to be shown."""
    lines = rows(report)
    said, unsaid = answer(report)
    return {
        "report": report,
        "pair": len(report.subjects) == 2,
        "headline": said,
        "unsaid": unsaid,
        "tiles": _tiles(lines) if len(report.subjects) == 2 else [],
        "picture": picture(report),
        "rows": lines,
        "scatter": scatter(report),
        "speeds": [(s, gauge(s)) for s in speeds(report)],
        "loading": loading(report),
        "made": made(report.provenance),
        "limits": limits(report),
        "data": json.dumps(to_json(report), ensure_ascii=False, allow_nan=False, indent=1),
    }


def _tiles(lines: list[Row]) -> list[Row]:
    chosen = [r for name in TILES for r in lines if r.name == name]
    rest = [r for r in lines if r not in chosen]
    return (chosen + rest)[:4]


def bind(text: str) -> str:
    """The same text with numbers bound to what follows or precedes, so that no line ends between them."""
    bound = re.sub(r"(?<=[0-9×]) (?=[%A-Za-zµ]{1,2}\b|%|±|→)", "\u00a0", text)
    return re.sub(r"(?<=[±→]) (?=[0-9])", "\u00a0", bound)
