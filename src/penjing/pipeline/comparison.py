"""Ratios of a smaller model's figures to its original's."""

import math
from collections.abc import Mapping, Sequence

from penjing.core import Measurement, Subject
from penjing.evaluate.costs import Costs
from penjing.evaluate.statistics import mean_ratio
from penjing.profiling.predicted import with_prediction
from penjing.profiling.speed import Speed

EXACT = (
    "parameters", "bytes", "macs_per_token", "macs_per_image", "macs", "kv_cache_bytes_per_token", "peak_memory_bytes",
)  # fmt: skip


def ratios_to_base(
    subjects: Sequence[Subject], counted: Mapping[str, Costs], timed: Sequence[Measurement], speed: Speed | None
) -> tuple[Measurement, ...]:
    """Each later subject's figures over the first's: costs, perplexity (paired), times (with what was predicted)."""
    base = subjects[0]
    out: list[Measurement] = []
    for other in subjects[1:]:
        out += exact_ratios(other, base)
        if found := perplexity_ratio(other, base):
            out.append(found)
        for r in timed:
            if r.details["subject"] == other.name and speed is not None:
                out.append(with_prediction(r, counted[other.name], counted[base.name], speed))
    return tuple(out)


def exact_ratios(other: Subject, base: Subject) -> tuple[Measurement, ...]:
    """The figures that are counted, over those of the original."""
    return tuple(r for key in EXACT if (r := _exact(key, other, base)))


def _exact(key: str, other: Subject, base: Subject) -> Measurement | None:
    top, bottom = other.figure(key), base.figure(key)
    if top is None or bottom is None or top.value is None or not bottom.value:
        return None
    return Measurement(
        name=f"{key}_ratio",
        value=top.value / bottom.value,
        unit="times the original's",
        n=1,
        protocol=top.protocol,
        details={"subject": other.name, "base": base.name},
    )


def perplexity_ratio(other: Subject, base: Subject) -> Measurement | None:
    """The ratio of two perplexities on the same windows, with the standard error of the paired difference.

    None when either is missing or they are of different windows.
    """
    top, bottom = other.figure("perplexity"), base.figure("perplexity")
    if top is None or bottom is None or top.value is None or bottom.value is None or top.protocol != bottom.protocol:
        return None
    counts = [float(c) for c in top.details["tokens"]]
    pairs = zip(top.details["nll"], bottom.details["nll"], counts, strict=True)
    mean, error = mean_ratio([(a - b) * c for a, b, c in pairs], counts)
    return Measurement(
        name="perplexity_ratio",
        value=math.exp(mean),
        unit="times the original's",
        n=len(counts),
        spread=None if error is None else math.exp(mean) * error,
        spread_kind="standard error, paired",
        protocol=top.protocol,
        details={"subject": other.name, "base": base.name},
    )
