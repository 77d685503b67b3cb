"""How a report itself says a figure is to be read: which way is better, and what its comparison found."""

from penjing.core import Measurement, Report, Subject
from penjing.report.figures import DIFFERENCE, Kind, kind


def said(report: Report, name: str) -> Kind:
    """How to speak of a figure, as the first model says that tells of it; of one that none has, by its name."""
    figures = [f for s in report.subjects if (f := s.figure(name)) is not None]
    telling = [f for f in figures if f.label or f.better or f.group != "other"]
    return kind(next(iter(telling or figures), Measurement(name=name, value=None, unit="")))


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
