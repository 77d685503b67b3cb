"""Texts with the class that each belongs to."""

from dataclasses import dataclass
from pathlib import Path

from penjing.data.jsonl import brief, records
from penjing.errors import DataError


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A text and the place of its class, from 0."""

    id: str
    text: str
    label: int


def read_labelled(path: str | Path, *, classes: int) -> tuple[LabelledText, ...]:
    """Texts from a `.jsonl` file with "text", "label" (a whole number below `classes`) and, if wanted, "id".

    Raises:
        DataError: a line is malformed, its label is outside the range or its id is taken; the line is named.
    """
    out: dict[str, LabelledText] = {}
    for number, record in enumerate(records(path)):
        label, name = record.fields.get("label"), record.fields.get("id", number)
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < classes:
            raise DataError(f"{record.where}: found {brief(label)} as 'label', needed a number from 0 to {classes - 1}")
        text = record.text("text")
        if not text.strip():
            raise DataError(f"{record.where}: 'text' is empty, needed some words")
        if isinstance(name, bool) or not isinstance(name, str | int) or str(name) in out:
            raise DataError(f"{record.where}: found {brief(name)} as 'id', needed a name or number of its own")
        out[str(name)] = LabelledText(id=str(name), text=text, label=label)
    return tuple(out.values())
