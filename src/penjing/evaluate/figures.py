"""Figures as plain JSON, with keys that stay."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from penjing.core import Measurement, Subject

KEYS = (
    "parameters",
    "bytes",
    "macs_per_token",
    "macs_per_image",
    "kv_cache_bytes_per_token",
    "perplexity",
    "bits_per_byte",
    "divergence",
    "agreement",
    "decode_seconds_per_token",
    "prefill_seconds",
    "peak_memory_bytes",
)
"""The figures that every subject's JSON names at its top level, in this order; null when not measured."""


def to_json(subject: Subject) -> dict[str, Any]:
    """A subject as plain data: name, source, every key of `KEYS` as a number or None, `missing` and `figures`.

    `missing` tells why a figure is None. `figures` lists all, each with unit, n, spread, protocol, note and details.
    """
    found = {f.name: f for f in subject.figures}
    out: dict[str, Any] = {"name": subject.name, "source": subject.source}
    missing: dict[str, str] = {}
    for key in KEYS:
        value = found[key].value if key in found else None
        out[key] = plain(value)
        if out[key] is None:
            missing[key] = (found[key].note if key in found else "") or "not measured"
    return {
        **out,
        "missing": missing,
        "widths": dict(subject.widths),
        "figures": [figure_to_json(f) for f in subject.figures],
    }


def figure_to_json(figure: Measurement) -> dict[str, Any]:
    """One figure as plain data; items of single records are left out, as they lie beside a report."""
    return {
        "name": figure.name,
        "value": plain(figure.value),
        "unit": figure.unit,
        "n": figure.n,
        "spread": plain(figure.spread),
        "spread_kind": figure.spread_kind,
        "chance": plain(figure.chance),
        "protocol": figure.protocol,
        "note": figure.note,
        "label": figure.label,
        "better": figure.better,
        "group": figure.group,
        "details": plain(figure.details),
    }


def plain(value: Any) -> Any:
    """The same data for JSON: whole floats as ints, numbers that are not finite as None, tuples as lists."""
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) >= 1000 else value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    return str(value)
