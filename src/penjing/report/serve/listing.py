"""Which runs a list shows, in what order: text, status and model as filters, pages of a hundred."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from penjing.report.runs import Known, RunSummary, list_runs

PAGE = 100
MODELS, SKIPPED = 200, 200
"""How many models the filter offers, and how many skipped folders are named."""

KEYS: dict[str, Callable[[RunSummary], Any]] = {
    "name": lambda r: r.name.casefold(),
    "status": lambda r: r.status,
    "model": lambda r: model(r).casefold() or None,
    "size": lambda r: r.summary.parameters if r.summary else None,
    "quality": lambda r: (r.summary.measure, r.summary.score) if r.summary and r.summary.score is not None else None,
    "started": lambda r: r.started or None,
}
"""What each column is sorted by; None goes last either way."""


class Catalogue:
    """The runs of a folder, read again when asked, but not more than once in `fresh` seconds."""

    def __init__(self, root: Path, *, fresh: float = 0.3) -> None:
        """`root`: the folder above the runs."""
        self.root, self._fresh = root, fresh
        self._lock, self._known, self._runs, self._read = threading.Lock(), Known(), tuple[RunSummary, ...](), 0.0

    def runs(self) -> tuple[RunSummary, ...]:
        """All runs, those that were skipped too, the newest first.

        Raises:
            DataError: the folder is gone.
        """
        with self._lock:
            if not self._read or time.monotonic() - self._read > self._fresh:
                self._runs, self._read = tuple(list_runs(self.root, known=self._known)), time.monotonic()
            return self._runs


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a list is asked for. `sort` is a key of `KEYS`; `down` turns it round; pages count from 1."""

    text: str = ""
    status: str = ""
    model: str = ""
    sort: str = "started"
    down: bool = True
    page: int = 1

    def link(self, **changes: Any) -> str:
        """The list's address with some of this changed; whatever is changed, page 1 is shown unless it is the page."""
        new = {**self.__dict__, "page": 1, **changes}
        usual = Query()
        asked = {k: ("1" if v is True else "0" if v is False else v) for k, v in new.items() if v != getattr(usual, k)}
        return "/?" + urlencode(asked) if asked else "/"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a list shows: the page's runs, how many there are, and what may be chosen."""

    query: Query
    runs: tuple[RunSummary, ...]
    matching: int
    total: int
    pages: int
    statuses: Mapping[str, int] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    skipped: tuple[RunSummary, ...] = ()
    unnamed: int = 0


def asked(params: Mapping[str, str]) -> Query:
    """The query of an address; what makes no sense is taken as not said."""
    sort = params.get("sort", "")
    sort = sort if sort in KEYS else "started"
    page = params.get("page", "1")
    return Query(
        text=params.get("text", "")[:200],
        status=params.get("status", "")[:20],
        model=params.get("model", "")[:400],
        sort=sort,
        down=params.get("down", "1") != "0",
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def model(run: RunSummary) -> str:
    """The model a run is about: the first of its report."""
    return run.summary.models[0] if run.summary and run.summary.models else ""


def select(runs: Sequence[RunSummary], query: Query) -> Listing:
    """The part of `runs` that a query asks for."""
    good = [r for r in runs if r.status != "skipped"]
    bad = [r for r in runs if r.status == "skipped"]
    words = query.text.casefold().split()
    others = [r for r in good if _fits(r, words, query.model)]
    found = [r for r in others if not query.status or r.status == query.status]
    found = ordered(found, query.sort, down=query.down)
    pages = max(1, -(-len(found) // PAGE))
    page = min(max(1, query.page), pages)
    return Listing(
        query=Query(**{**query.__dict__, "page": page}),
        runs=tuple(found[(page - 1) * PAGE : page * PAGE]),
        matching=len(found),
        total=len(good),
        pages=pages,
        statuses=Counter(r.status for r in others),
        models=tuple(sorted({m for r in good if (m := model(r))}, key=str.casefold)[:MODELS]),
        skipped=tuple(bad[:SKIPPED]),
        unnamed=max(0, len(bad) - SKIPPED),
    )


def ordered(runs: Sequence[RunSummary], sort: str, *, down: bool) -> list[RunSummary]:
    """The runs by a column; those without a value come last, whichever the way."""
    key = KEYS[sort]
    valued = [r for r in runs if key(r) is not None]
    return sorted(valued, key=key, reverse=down) + [r for r in runs if key(r) is None]


def _fits(run: RunSummary, words: Sequence[str], wanted: str) -> bool:
    if wanted and (run.summary is None or wanted not in run.summary.models):
        return False
    if not words:
        return True
    short = run.summary
    parts = [run.key, run.name, run.command, run.error, run.what]
    parts += [short.title, short.headline, *short.models] if short else []
    whole = "\n".join(parts).casefold()
    return all(word in whole for word in words)
