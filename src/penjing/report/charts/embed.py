"""Which charts a page has, as text that can stand inside a script element."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from penjing.core import Report
from penjing.core.places import cache_folder
from penjing.report.charts.data import figures_data
from penjing.report.views import Lines

NEEDS = ("altair", "vl_convert")


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """`library` draws Vega specs (JavaScript); `data` holds specs, models and figures (JSON); both safe in HTML."""

    library: str
    data: str


def there() -> bool:
    """Whether the optional packages of `penjing[charts]` are installed."""
    return all(find_spec(name) is not None for name in NEEDS)


def embedded(report: Report, drawings: list[Lines], *, tradeoff: bool) -> Embedded:
    """The library and the specs of the trade-off (if it is drawn) and of all drawings, each under its key."""
    from penjing.report.charts.specs import curve, pareto

    specs: dict[str, Any] = {"tradeoff": pareto()} if tradeoff else {}
    specs |= {one.chart.key: curve(one.chart) for one in drawings}
    data = {**figures_data(report), "specs": specs}
    return Embedded(library=_library(), data=safe_json(data))


@cache
def _library() -> str:
    """The library, bundled once for each version and kept: bundling takes seconds."""
    name = f"vega-{version('vl-convert-python')}.js"
    place = cache_folder() / "charts" / name
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        import vl_convert

        text = _inert(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
        part = place.with_name(f".{name}.{os.getpid()}.part")
        with suppress(OSError):  # a cache that cannot be written to costs time and nothing else
            place.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            part.replace(place)
        return text


def safe_json(data: Any) -> str:
    """JSON that ends no script element and opens no comment, whatever is in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _inert(script: str) -> str:
    """The script inside a function of its own; what would end its element is written another way."""
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return f"(function(){{{script}\n}})();"
