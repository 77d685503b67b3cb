"""The rows of a study as columns: an array for each, in one .npz file that numpy reads and nothing has to unpickle."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from penjing.studies.journal import Row

OWN = ("key", "setting", "seed", "error", "seconds", "where")


def as_npz(rows: "Sequence[Row]") -> bytes:
    """The file's bytes: a column for each of `OWN`, for each value as `settings.NAME`, and for each figure.

    What a row does not have is NaN, or empty text.
    """
    out: dict[str, np.ndarray] = {name: np.array([getattr(r, name) for r in rows]) for name in OWN}
    for name in dict.fromkeys(n for r in rows for n in r.values):
        out[f"settings.{name}"] = np.array([_text(r.values.get(name, "")) for r in rows])
    for name in dict.fromkeys(n for r in rows for n in r.figures):
        out[name if name not in OWN else f"figures.{name}"] = numbers([r.figures for r in rows], name)
    file = io.BytesIO()
    np.savez_compressed(file, **out)  # type: ignore[arg-type]
    return file.getvalue()


def numbers(figures: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """[rows], or [rows points] of a figure that is a list: float64, NaN where a row has none."""
    found = [f.get(name) for f in figures]
    longest = max((len(f) for f in found if isinstance(f, list)), default=0)
    if not longest:
        return np.array([np.nan if f is None else float(f) for f in found])
    out = np.full((len(found), longest), np.nan)
    for row, values in zip(out, found, strict=True):
        listed = values if isinstance(values, list) else [] if values is None else [values]
        row[: len(listed)] = listed
    return out


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
