"""Classes and correlations as figures of a report."""

from collections.abc import Sequence
from dataclasses import asdict

from penjing.core import Measurement
from penjing.evaluate.sweep.classes import Trend
from penjing.evaluate.sweep.together import Correlated

VERSION = 1


def classes(trends: Sequence[Trend]) -> tuple[Measurement, ...]:
    """One figure `name_class` for each trend: the relative change from the largest to the smallest model.

    `details` holds "figure", "class" and everything else that the trend tells.
    """
    out = []
    for trend in trends:
        told = {k: v for k, v in asdict(trend).items() if k not in {"name", "kind", "note"}}
        out.append(
            Measurement(
                name=f"{trend.name}_class",
                value=trend.relative,
                unit="relative change",
                n=trend.points,
                protocol=f"sweep/{VERSION} {trend.evidence}",
                note=trend.note,
                details={"figure": trend.name, "class": trend.kind, **told},
            )
        )
    return tuple(out)


def correlations(found: Sequence[Correlated]) -> tuple[Measurement, ...]:
    """One figure `one~two_correlation` for each pair: Pearson's r over the models."""
    out = []
    for pair in found:
        told = {k: v for k, v in asdict(pair).items() if k not in {"pearson", "points", "note"}}
        out.append(
            Measurement(
                name=f"{pair.one}~{pair.two}_correlation",
                value=pair.pearson,
                unit="Pearson's r",
                n=pair.points,
                protocol=f"sweep/{VERSION} {pair.intervals_by or 'no interval'}",
                note=pair.note,
                details=told,
            )
        )
    return tuple(out)
