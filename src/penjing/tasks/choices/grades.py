"""From log-likelihoods to figures: accuracies with their standard errors, and what guessing would give."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core import Measurement
from penjing.data.items import AnyChoice
from penjing.errors import DataError, MeasureError, nearest

METRICS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
"""What the choices are compared by: log-likelihood; per character; per UTF-8 byte; less the choice's own."""


@dataclass(frozen=True)
class Scored:
    """One item with a log-likelihood per choice; `alone` are those of the choices without the question."""

    item: AnyChoice
    values: tuple[float, ...]
    lengths: tuple[str, ...]
    alone: tuple[float, ...] = ()

    def weighed(self, metric: str) -> tuple[float, ...]:
        """What the choices are compared by under a metric.

        Raises:
            DataError: there is no such metric.
            MeasureError: a choice has no length to divide by, or the choices were not measured alone.
        """
        if metric not in METRICS:
            raise DataError(f"no metric is named '{metric}'; there are {', '.join(METRICS)}{nearest(metric, METRICS)}")
        if metric == "acc":
            return self.values
        if metric == "acc_mutual_info":
            if len(self.alone) != len(self.values):
                raise MeasureError(f"the choices of {self.item.id} were not measured alone; ask for acc_mutual_info")
            return tuple(v - a for v, a in zip(self.values, self.alone, strict=True))
        sizes = [len(t) if metric == "acc_norm" else len(t.encode("utf-8")) for t in self.lengths]
        if not all(sizes):
            raise MeasureError(f"item {self.item.id} has an empty choice, whose length is 0; ask for acc instead")
        return tuple(v / s for v, s in zip(self.values, sizes, strict=True))


def best(values: Sequence[float]) -> int:
    """The place of the largest; the first of several.

    >>> best([1.0, 3.0, 3.0])
    1
    """
    return max(range(len(values)), key=lambda i: (values[i], -i))


def margin(values: Sequence[float], scores: Sequence[float]) -> float:
    """By how much the best of the right choices (the highest score) is ahead of the best other; negative is wrong.

    0 when every choice is right.
    """
    top = max(scores)
    right = [v for v, s in zip(values, scores, strict=True) if s == top]
    wrong = [v for v, s in zip(values, scores, strict=True) if s < top]
    return max(right) - max(wrong) if wrong else 0.0


def mean_with_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and its standard error (None for one value); for 0 and 1 that is sqrt(p(1-p)/(n-1)).

    Raises:
        MeasureError: there are no values.
    """
    if not values:
        raise MeasureError("there are no items to take a mean of; give at least one")
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)


def chance(items: Sequence[AnyChoice]) -> float:
    """What guessing gives: the mean over items of the mean score of a choice."""
    return math.fsum(math.fsum(i.scores) / len(i.scores) for i in items) / len(items)


def accuracy(
    scored: Sequence[Scored], metric: str, *, name: str, protocol: str, note: str = "", full: bool = False
) -> Measurement:
    """The share of items whose best choice is right (or the mean of what the best choice earns), 0 to 1.

    With `full` the items' records hold all log-likelihoods, not only correctness and margin.

    Raises:
        DataError: there is no such metric.
        MeasureError: there are no items, or an item cannot be weighed so.
    """
    weighed = [s.weighed(metric) for s in scored]
    chosen = [best(w) for w in weighed]
    earned = [s.item.scores[c] for s, c in zip(scored, chosen, strict=True)]
    value, error = mean_with_error(earned)
    records: dict[str, Sequence[Any]] = {
        "id": [s.item.id for s in scored],
        "correct": [int(e) if e.is_integer() else e for e in earned],
        "margin": [margin(w, s.item.scores) for w, s in zip(weighed, scored, strict=True)],
        "choice": chosen,
    }
    if full:
        records["log_likelihoods"] = [list(s.values) for s in scored]
        records["scores"] = [list(s.item.scores) for s in scored]
    notes = [note] if note else []
    if error is None:
        notes.append("one item only: no standard error")
    return Measurement(
        name=name,
        value=value,
        unit=f"share right ({metric})",
        better="higher",
        group="quality",
        n=len(scored),
        spread=error,
        spread_kind="standard error",
        chance=chance([s.item for s in scored]),
        protocol=protocol,
        note="; ".join(notes),
        details=by_group(scored, earned),
        items=records,
    )


def by_group(scored: Sequence[Scored], earned: Sequence[float]) -> Mapping[str, Any]:
    """{"groups": {group: {"value", "error", "n", "chance"}}, "macro": mean over groups} when items have groups."""
    groups: dict[str, list[int]] = {}
    for i, s in enumerate(scored):
        if "group" in s.item.extra:
            groups.setdefault(str(s.item.extra["group"]), []).append(i)
    if len(groups) < 2:
        return {}
    out = {}
    for group, places in groups.items():
        value, error = mean_with_error([earned[i] for i in places])
        guess = chance([scored[i].item for i in places])
        out[group] = {"value": value, "error": error, "n": len(places), "chance": guess}
    return {"groups": out, "macro": math.fsum(g["value"] for g in out.values()) / len(out)}
