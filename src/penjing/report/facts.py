"""How a report itself says a figure is to be read: which way is better, and what its comparison found."""

from dataclasses import replace

from penjing.core import Report, Subject
from penjing.report.figures import DIFFERENCE, Kind, kind

RANK = 17
"""The place in a table of figures that are of no known kind but say which way is better."""


def said(report: Report, name: str) -> Kind:
    """How to speak of a figure; which way is better is what `details["better"]` says, if it does."""
    figures = [f for s in report.subjects if (f := s.figure(name)) is not None]
    found = kind(name, figures[0].unit if figures else "")
    better = next((f.details["better"] for f in figures if f.details.get("better") in ("lower", "higher")), None)
    if better is None:
        return found
    if found.group == "other":
        return replace(found, better=better, group="quality", rank=RANK)
    return replace(found, better=better)


def verdict_tone(report: Report, subject: Subject, name: str) -> str | None:
    """`better`, `worse` or `even` as the paired comparison with the original says; None where nobody compared.

    Where a model was compared, a figure of quality that could not be tested is `even`: nothing shows that it moved.
    """
    for one in report.ratios:
        if one.name == f"{name}{DIFFERENCE}" and one.details.get("subject") == subject.name:
            verdict = one.details.get("verdict")
            if verdict and verdict != "not compared":
                return str(verdict) if verdict in ("better", "worse") else "even"
    judged = any(r.name.endswith(DIFFERENCE) and r.details.get("subject") == subject.name for r in report.ratios)
    return "even" if judged and said(report, name).group == "quality" else None


def numbers(found: object) -> list[float]:
    """A number, the numbers of a mapping's `value` and `spread`, or (middle, half width) of a (low, high) pair."""
    if isinstance(found, dict):
        return [float(found[k]) for k in ("value", "spread") if isinstance(found.get(k), int | float)]
    if isinstance(found, list | tuple) and len(found) == 2:
        low, high = float(found[0]), float(found[1])
        return [(low + high) / 2, abs(high - low) / 2]
    return [float(found)] if isinstance(found, int | float) else []
