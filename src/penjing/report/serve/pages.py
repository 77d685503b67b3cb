"""The pages of the server as text: the list, a run's state, the bar above a report, and refusals."""

import base64
import hashlib
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from penjing.core import Report
from penjing.report import formats
from penjing.report.build import rows
from penjing.report.headline import answer
from penjing.report.page import bind
from penjing.report.runs import RunSummary
from penjing.report.serve import guards
from penjing.report.serve.listing import Listing, model

MARKS = {status: status for status in ("done", "running", "failed", "interrupted")}
"""Status -> the word that is shown, in the order of the filter."""
TAG = "\n<body>\n"
COMPARED = 12
"""The most runs on one page."""


@dataclass(frozen=True)
class Pages:
    """Writes pages; `policy` is the Content-Security-Policy that lets exactly their own style and script run."""

    style: str = field(default_factory=lambda: _own("serve.css"))
    script: str = field(default_factory=lambda: _own("serve.js"))

    @property
    def policy(self) -> str:
        """The header that goes with every page of this class, but `report`."""
        return guards.own({"style": [_hash(self.style)], "script": [_hash(self.script)]})

    def list(self, listing: Listing, root: str, *, part: bool = False) -> bytes:
        """The list of runs; `part`: only what changes."""
        shown = [_row(r) for r in listing.runs]
        name = "part_list.html" if part else "list.html"
        return self._write(name, at=listing, rows=shown, root=root, marks=MARKS, most=COMPARED)

    def run(self, run: RunSummary, report: Report | None, trouble: str = "", *, part: bool = False) -> bytes:
        """How far a run is, and its figures so far; `trouble` says why there are none to show."""
        said = {
            "run": run,
            "row": _row(run),
            "subjects": [s.name for s in report.subjects] if report else [],
            "figures": rows(report) if report and report.subjects else [],
            "headline": answer(report)[0] if report and report.subjects else "",
            "trouble": trouble,
        }
        return self._write("part_run.html" if part else "run.html", **said)

    def report(self, text: str, *, run: RunSummary | None = None) -> bytes:
        """A report's page with a bar above it that leads back. The page itself is left as it is."""
        bar = self._write("bar.html", run=run, row=_row(run) if run else None).decode()
        head, found, rest = text.partition(TAG)
        return _bytes(f"{head}{found}{bar}{rest}" if found else text)

    def refusal(self, status: int, text: str) -> bytes:
        """A page that says what is wrong."""
        return self._write("refusal.html", status=status, text=text)

    def _write(self, name: str, **said: Any) -> bytes:
        ours = {"style": Markup(self.style), "script": Markup(self.script)}
        return _bytes(_environment().get_template(name).render(**ours, **said))


def _environment() -> Environment:
    out = Environment(
        loader=PackageLoader("penjing.report.serve"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    out.filters["bind"] = bind
    out.filters["segment"] = partial(quote, safe="")
    return out


def _own(name: str) -> str:
    return (files("penjing.report.serve") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _bytes(text: str) -> bytes:
    """UTF-8; half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes a question mark."""
    return text.encode("utf-8", "replace")


def _row(run: RunSummary) -> dict[str, Any]:
    """What a line of the list shows of a run."""
    short = run.summary
    share = min(1.0, run.done / run.total) if run.total else None
    return {
        "run": run,
        "href": f"/runs/{quote(run.key, safe='')}",
        "model": model(run),
        "said": run.error if run.status == "failed" else short.headline if short and run.status == "done" else run.what,
        "began": _when(run.started),
        "iso": _iso(run.started),
        "lasted": _span((time.time() if run.status == "running" else run.updated) - run.started),
        "share": share,
        "percent": formats.percent(share) if share is not None else "",
        "size": short.size if short else "",
        "change": short.change if short else "",
        "measure": short.measure if short else "",
        "quality": short.quality if short else "",
    }


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%-d %b %Y, %H:%M") if seconds else "unknown"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds") if seconds else ""


def _span(seconds: float) -> str:
    """A duration in its two largest units: `3 min 20 s`."""
    left = max(0, round(seconds))
    parts = []
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size or (name == "s" and not parts):
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts[:2])
