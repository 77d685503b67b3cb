"""The little of a report that a list of runs shows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penjing.core import Report
from penjing.errors import DataError
from penjing.report import formats
from penjing.report.build import changed, known, names, unit
from penjing.report.facts import said
from penjing.report.headline import headline

LONG, MANY = 400, 40
"""Letters of a text, and names in a list, that are kept."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A report's answer in short; of several models the figures are those of the second, the first result.

    `parameters` and `score` are for sorting; `size` and `quality` are the same as text, and `change` and `worse` what
    became of them against the original.
    """

    title: str = ""
    headline: str = ""
    models: tuple[str, ...] = ()
    parameters: float | None = None
    size: str = ""
    change: str = ""
    measure: str = ""
    score: float | None = None
    quality: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "models": list(self.models)}


def summary(report: Report) -> Summary:
    """The summary of a report."""
    result = report.subjects[:2][-1] if report.subjects else None
    if result is None:
        return Summary(title=_short(report.title), headline=_short(headline(report)))
    size = result.figure("parameters")
    parameters = known(size)
    judged = [n for n in names(report) if said(report, n).group == "quality"]
    quality = next((f for n in judged if (f := result.figure(n)) and known(f) is not None), None)
    score = known(quality)
    return Summary(
        title=_short(report.title),
        headline=_short(headline(report)),
        models=tuple(_short(s.name) for s in report.subjects[:MANY]),
        parameters=parameters,
        size=formats.quantity(parameters, unit(size)) if size and parameters is not None else "",
        change=changed(report, result, "parameters") if len(report.subjects) > 1 else "",
        measure=_short(said(report, quality.name).label) if quality else "",
        score=score,
        quality=_short(formats.quantity(score, unit(quality))) if quality and score is not None else "",
    )


def from_json(data: Any) -> Summary:
    """The summary that `to_json` gave.

    Raises:
        DataError: it is not one.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"its summary is a {type(data).__name__}; needed an object")
    texts = {key: _short(data.get(key, "")) for key in ("title", "headline", "size", "change", "measure", "quality")}
    models = data.get("models", [])
    if not isinstance(models, list):
        raise DataError("its summary names no list of models; write it again with this penjing")
    return Summary(
        models=tuple(_short(m) for m in models[:MANY]),
        parameters=_number(data.get("parameters")),
        score=_number(data.get("score")),
        **texts,
    )


def _short(text: object) -> str:
    """A text that can be shown: no lone surrogates, not endless."""
    clean = str(text)[: LONG + 1].encode("utf-8", "replace").decode()
    return clean if len(clean) <= LONG else clean[: LONG - 1] + "…"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
