"""A report as it may be given away: files and folders by their names, without those of this machine."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penjing.core import Measurement, Report


def published(report: Report, places: Iterable[str | Path] = ()) -> Report:
    """The same report, in which models and other `places` of this machine are called by their names only."""
    own = [s.source for s in report.subjects if Path(s.source).is_absolute() or Path(s.source).exists()]
    known = _names([*own, *places])

    def said(text: str) -> str:
        for place, name in known.items():
            text = text.replace(place, name)
        return text

    def measured(figure: Measurement) -> Measurement:
        return replace(figure, note=said(figure.note), protocol=said(figure.protocol))

    return replace(
        report,
        subjects=tuple(
            replace(s, source=said(s.source), figures=tuple(map(measured, s.figures))) for s in report.subjects
        ),
        ratios=tuple(map(measured, report.ratios)),
        notes=tuple(map(said, report.notes)),
        provenance=_through(report.provenance, said),
    )


def _names(places: Iterable[str | Path]) -> dict[str, str]:
    """Place as it may be written -> its name; the longest first, and the folder that the program runs in last."""
    found: dict[str, str] = {}
    for place in map(str, places):
        path = Path(place).expanduser()
        name = path.name or path.resolve().name
        if os.sep in place:
            found[place] = name
        found[str(path.absolute())] = found[str(path.resolve())] = name
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def _through(value: Any, said: Any) -> Any:
    if isinstance(value, str):
        return said(value)
    if isinstance(value, Mapping):
        return {k: _through(v, said) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_through(v, said) for v in value]
    return value
