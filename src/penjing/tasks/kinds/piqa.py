"""`piqa:FILE.jsonl`: which of two ways reaches an everyday goal.

Source: the authors' published records; template and metrics are lm-evaluation-harness's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from penjing.data.benchmarks import numbered
from penjing.data.items import ChoiceItem, identifier, unique
from penjing.data.jsonl import Record, check_file, records
from penjing.errors import DataError
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Style, after, asked_as_question, texts
from penjing.tasks.kind import Asked, Kind, parted
from penjing.tasks.task import Task

TITLE = "PIQA"


SETTINGS = {"labels": "the labels' own file, one a line"}


def items(path: str | Path, *, labels: str | Path | None = None) -> list[ChoiceItem]:
    """Records of "goal", "sol1", "sol2" and "label" (0 or 1), or the labels in a file of their own, one a line.

    Raises:
        DataError: a line does not hold that, or the labels are not as many; the line is named.
    """
    rows = records(path) if labels is None else _joined(path, labels)
    return unique((_item(r), r) for r in rows)


def _item(r: Record) -> ChoiceItem:
    choices = (r.text("sol1"), r.text("sol2"))
    return ChoiceItem(id=identifier(r), question=r.text("goal"), choices=choices, answer=numbered(r, "label", 2))


def _joined(path: str | Path, labels: str | Path) -> Iterator[Record]:
    check_file(Path(labels), "labels")
    given = Path(labels).read_bytes().decode("ascii", errors="replace").split()
    rows = list(records(path))
    if len(rows) != len(given):
        raise DataError(f"{path} has {len(rows)} records, {labels} {len(given)} labels; needed as many of both")
    for r, label in zip(rows, given, strict=True):
        yield Record(r.path, r.place, {**r.fields, "label": label})


STYLE = Style(name="piqa", pairs=after(asked_as_question), lengths=texts)
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `piqa`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    paths, told = parted(data, SETTINGS, "piqa")
    found = items(paths[0], labels=told.get("labels"))
    return [benchmark("piqa", found, STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE, settings=SETTINGS)
