"""Reports as JSON, and back: the same report, or an error that says where the file is wrong."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from penjing.core import Measurement, Report, Subject
from penjing.core.report import Better, Group
from penjing.errors import DataError, nearest
from penjing.report.older import labelled

SCHEMA = 3
"""Rises when a key changes its meaning or is added. From 2 on, items of figures lie beside it in `items.jsonl`; from 3
on, a figure says what it is called, which way is better and what it tells of."""
READ = (1, 2, 3)
"""Schemas that are read: a report of schema 1 is one without items."""
LARGEST = 64 * 2**20
"""The largest report.json that is read, in bytes."""
STORED = tuple(f.name for f in fields(Measurement) if f.name != "items")


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain data that `json.dumps(..., allow_nan=False)` takes.

    Items of figures are left out (`item_lines` writes them). Numbers that JSON lacks are written `{"float": "nan"}`.
    Tuples inside `details` and `provenance` come back as lists, paths as text.

    Raises:
        DataError: `details` or `provenance` hold something that is not plain data.
    """
    return {
        "schema": SCHEMA,
        "title": report.title,
        "subjects": [
            {
                "name": s.name,
                "source": s.source,
                "figures": [_measurement(f) for f in s.figures],
                "widths": {str(k): int(v) for k, v in s.widths.items()},
            }
            for s in report.subjects
        ],
        "ratios": [_measurement(r) for r in report.ratios],
        "notes": list(report.notes),
        "provenance": plain(report.provenance, "provenance"),
    }


def from_json(data: Mapping[str, Any]) -> Report:
    """The report that `to_json` wrote. Keys with a default may be absent.

    Raises:
        DataError: the data is of another schema, or a key is missing, unknown or of the wrong type.
    """
    whole = _object(data, "report")
    schema = whole.pop("schema", None)
    if isinstance(schema, bool) or schema not in READ:
        raise DataError(
            f"the report is of schema {schema!r}; this penjing reads schemas {READ[0]} to {READ[-1]}; "
            "write it again with this version"
        )
    subjects = _take(whole, "report", "subjects", list)
    read = [_subject(s, f"subjects[{i}]") for i, s in enumerate(subjects)]
    if schema < SCHEMA:
        read = [replace(s, figures=tuple(map(labelled, s.figures))) for s in read]
    ratios = _take(whole, "report", "ratios", list, [])
    out = Report(
        title=_take(whole, "report", "title", str),
        subjects=tuple(read),
        ratios=tuple(_figure(r, f"ratios[{i}]") for i, r in enumerate(ratios)),
        notes=tuple(str(n) for n in _take(whole, "report", "notes", list, [])),
        provenance=restored(_take(whole, "report", "provenance", dict, {})),
    )
    _nothing_left(whole, "report", {"schema", *(f.name for f in fields(Report))})
    return out


def load(path: str | Path) -> Report:
    """The report of a `report.json`, or of the folder it lies in.

    Raises:
        DataError: there is no such file, it is too large, or it is not a report.
    """
    place = Path(path)
    place = place / "report.json" if place.is_dir() else place
    try:
        if (size := place.stat().st_size) > LARGEST:
            raise DataError(
                f"{place} has {size:,} bytes; a report has at most {LARGEST:,}; name a report.json that penjing wrote"
            )
        return from_json(json.loads(place.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{place} cannot be read ({error.strerror}); name a report.json or its folder") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON ({error}); name a report.json that penjing wrote") from error


def _measurement(figure: Measurement) -> dict[str, Any]:
    return {name: plain(getattr(figure, name), f"{figure.name}.{name}") for name in STORED}


def plain(value: Any, where: str) -> Any:
    """The value as data that JSON has; `where` is named when there is none.

    Raises:
        DataError: it is not plain data.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if callable(item := getattr(value, "item", None)):
        return plain(item(), where)
    raise DataError(f"{where} holds a {type(value).__name__}; a report needs plain data; turn it into numbers or text")


def restored(value: Any) -> Any:
    """The value that `plain` made into data, with lists for tuples."""
    if isinstance(value, dict):
        if set(value) == {"float"} and value["float"] in {"nan", "inf", "-inf"}:
            return float(value["float"])
        return {k: restored(v) for k, v in value.items()}
    return [restored(v) for v in value] if isinstance(value, list) else value


def _object(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise DataError(f"{where} is a {type(data).__name__}; needed an object with keys; check the file")
    return dict(data)


def _take(data: dict[str, Any], where: str, key: str, kind: type, default: Any = None) -> Any:
    if key not in data:
        if default is None:
            raise DataError(f"{where} has no '{key}'; needed a {kind.__name__}; check the file")
        return default
    value = data.pop(key)
    if not isinstance(value, kind):
        raise DataError(f"{where}.{key} is a {type(value).__name__}; needed a {kind.__name__}; check the file")
    return value


def _one_of(data: dict[str, Any], where: str, key: str, allowed: Sequence[str], default: str) -> Any:
    value = _take(data, where, key, str, default)
    if value not in allowed:
        known = ", ".join(a or '""' for a in allowed)
        raise DataError(f"{where}.{key} is '{value}'{nearest(value, allowed)}; needed one of {known}; check the file")
    return value


def _nothing_left(data: Mapping[str, Any], where: str, allowed: set[str]) -> None:
    for key in data:
        raise DataError(
            f"{where} has an unknown key '{key}'{nearest(key, allowed)}; remove it or read it with a newer penjing"
        )


def _subject(data: Any, where: str) -> Subject:
    given = _object(data, where)
    widths = _take(given, where, "widths", dict, {})
    for axis, size in widths.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise DataError(f"{where}.widths['{axis}'] is {size!r}; needed a whole number; check the file")
    figures = _take(given, where, "figures", list)
    out = Subject(
        name=_take(given, where, "name", str),
        source=_take(given, where, "source", str),
        figures=tuple(_figure(f, f"{where}.figures[{i}]") for i, f in enumerate(figures)),
        widths=widths,
    )
    _nothing_left(given, where, {f.name for f in fields(Subject)})
    return out


def _figure(data: Any, where: str) -> Measurement:
    given = _object(data, where)
    if "value" not in given:
        raise DataError(f"{where} has no 'value'; needed a number, or null with a note; check the file")
    numbers = {key: _number(given.pop(key, None), f"{where}.{key}") for key in ("value", "spread", "chance")}
    texts = {key: _take(given, where, key, str, "") for key in ("spread_kind", "protocol", "note", "label")}
    out = Measurement(
        name=_take(given, where, "name", str),
        unit=_take(given, where, "unit", str),
        n=_take(given, where, "n", int, 0),
        details=restored(_take(given, where, "details", dict, {})),
        **numbers,
        better=_one_of(given, where, "better", get_args(Better), ""),
        group=_one_of(given, where, "group", get_args(Group), "other"),
        **texts,
    )
    _nothing_left(given, where, set(STORED))
    return out


def _number(value: Any, where: str) -> float | None:
    found = restored(value)
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) > 2**1000:
        raise DataError(f"{where} has {len(str(found))} digits; needed a number that a float holds; check the file")
    if found is None or (isinstance(found, int | float) and not isinstance(found, bool)):
        return found
    raise DataError(f"{where} is {value!r}; needed a number or null; check the file")
