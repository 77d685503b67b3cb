"""The curve of size and quality: a method beside random choice, with the original as a level."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from penjing.core import Report
from penjing.report.views.lines import DASHES, Chart, Mark, Series, Spot, finite


def size_curves(report: Report) -> list[Chart]:
    """The chart of `provenance["curve"]`; empty when there is none that can be read."""
    told = report.provenance.get("curve")
    if not isinstance(told, Mapping) or not isinstance(told.get("points"), Sequence):
        return []
    dense, whole = finite(told.get("dense")), finite(told.get("parameters"))
    if dense is None or whole is None:
        return []
    reads = told.get("objective") == "loss" and dense < 20
    groups: dict[str, list[Spot]] = {}
    for point in told["points"]:
        if isinstance(point, Mapping) and (spot := _spot(point, dense, reads)) is not None:
            groups.setdefault(str(point.get("by")), []).append(spot)
    if not groups:
        return []
    series = tuple(
        Series(mark=Mark(number=i, name=by, look=i + 1, dash=DASHES[i]), spots=tuple(sorted(spots, key=lambda s: s.x)))
        for i, (by, spots) in enumerate(groups.items())
    )
    up = "perplexity on held-out rows" if reads else f"what is added to the {told.get('objective')}"
    return [
        Chart(
            key="curve-sizes", label="Size and quality", legend=True,
            across="parameters, millions", up=up, series=series, level=math.exp(dense) if reads else 0.0,
        )
    ]  # fmt: skip


def _spot(point: Mapping[str, Any], dense: float, reads: bool) -> Spot | None:
    size, added = finite(point.get("parameters")), finite(point.get("added"))
    if size is None or added is None:
        return None

    def shown(value: float | None) -> float | None:
        return None if value is None else math.exp(min(dense + value, 50.0)) if reads else value

    low, high = (finite(point.get(k)) for k in ("low", "high"))
    y = shown(added)
    return None if y is None else Spot(x=size / 1e6, y=y, low=shown(low), high=shown(high))
