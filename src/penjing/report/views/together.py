"""What holds and what moves together over a sweep, as rows: classes with evidence, correlations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penjing.core import Measurement, Report
from penjing.report import formats
from penjing.report.build import known
from penjing.report.facts import said
from penjing.report.views.differences import p_value
from penjing.report.views.lines import finite

CORRELATION, SWEEP = "_correlation", "_sweep"
MOST = 24
"""How many correlations are shown, the clearest first; all are in the data."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a figure is of its class, as text; `change` is from the largest to the smallest model."""

    label: str
    sort: str
    change: str
    interval: str
    p: str
    evidence: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two figures that move together, or do not. `tone` is "clear" where the corrected p is below 0.05."""

    one: str
    two: str
    r: str
    interval: str
    p: str
    rest: str
    note: str
    tone: str


def reasons(report: Report) -> list[Reason]:
    """A row for each class among the report's ratios that tells its evidence."""
    return [_reason(report, r) for r in report.ratios if "class" in r.details and "evidence" in r.details]


def correlations(report: Report) -> tuple[list[Pair], int]:
    """(rows, how many there are in all): correlations over the models, the clearest first."""
    found = [r for r in report.ratios if r.name.endswith(CORRELATION) and known(r) is not None]
    found.sort(key=lambda r: (_p(r.details), -abs(r.value or 0)))
    return [_pair(report, r) for r in found[:MOST]], len(found)


def withheld(report: Report) -> str:
    """Why nothing is said of the models together; empty when it is, or nobody asked."""
    return next((r.note for r in report.ratios if r.name.endswith(SWEEP) and r.value is None), "")


def _p(details: Mapping[str, Any]) -> float:
    found = finite(details.get("pearson_p_holm"))
    return 1.0 if found is None else found


def _reason(report: Report, figure: Measurement) -> Reason:
    details = figure.details
    value, ends = finite(figure.value), _two(details.get("relative_interval"))
    return Reason(
        label=said(report, str(details.get("figure", figure.name))).label,
        sort=str(details["class"]),
        change="" if value is None else formats.change(1 + value) if value > -1 else formats.percent(value),
        interval=f"{100 * ends[0]:+.3g} to {100 * ends[1]:+.3g} %".replace("-", "\u2212") if ends else "",
        p=p_value(details.get("p_holm")),
        evidence=str(details["evidence"]),
        note=figure.note,
    )


def _pair(report: Report, figure: Measurement) -> Pair:
    details, ends = figure.details, _two(figure.details.get("pearson_interval"))
    rest = finite(details.get("without_dense"))
    return Pair(
        one=said(report, str(details.get("one", ""))).label,
        two=said(report, str(details.get("two", ""))).label,
        r=_r(figure.value),
        interval=f"{_r(ends[0])} to {_r(ends[1])}" if ends else "",
        p=p_value(details.get("pearson_p_holm")),
        rest="" if rest is None else _r(rest),
        note=figure.note,
        tone="clear" if _p(details) < 0.05 else "even",
    )


def _two(found: Any) -> tuple[float, float] | None:
    if not isinstance(found, list | tuple) or len(found) != 2:
        return None
    low, high = finite(found[0]), finite(found[1])
    return None if low is None or high is None else (low, high)


def _r(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".replace("-", "\u2212")
