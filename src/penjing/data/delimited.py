"""Delimited text, such as CSV: the names of its columns, its rows, and the mark between them found by itself."""

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

from penjing.errors import DataError

MARKS = ",;\t|"
"""What may stand between values."""
PROBED = 20
"""Rows that are read with each mark to choose one."""
SHOWN = 8
"""Columns or rows that an error names at most."""


def read(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """(names of columns, rows, the line of each), without space around values and without empty rows.

    Raises:
        DataError: the file cannot be read, its first line does not name its columns, or a row is of another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            mark = _mark(file)
            file.seek(0)
            reader = csv.reader(file, delimiter=mark)
            names = [name.strip() for name in next(reader, [])]
            found = [(reader.line_num, [v.strip() for v in row]) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); needed a CSV file in UTF-8") from error
    if len(names) < 2 or not found:
        raise DataError(f"{path}: needed a first line with the names of two or more columns, and rows below it")
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise DataError(f"{path}: {some(twice)} names several columns; give each a name of its own")
    if wrong := next(((line, len(row)) for line, row in found if len(row) != len(names)), None):
        raise DataError(f"{path}, line {wrong[0]}: found {wrong[1]} values, needed {len(names)}; correct the line")
    return names, [row for _, row in found], [line for line, _ in found]


def _mark(file: TextIO) -> str:
    """The mark that parts the first rows into the most values, as many in each; failing that, the first row."""
    best: dict[str, tuple[bool, int]] = {}
    for mark in MARKS:
        file.seek(0)
        try:
            widths = [len(row) for row in islice(csv.reader(file, delimiter=mark), PROBED) if any(map(str.strip, row))]
        except csv.Error:  # as when a quote that this mark does not see the end of swallows the file
            continue
        if widths:
            best[mark] = (len(set(widths)) == 1 and widths[0] > 1, widths[0])
    return max(MARKS, key=lambda mark: best.get(mark, (False, 0)))


def some(names: Sequence[object], most: int = SHOWN) -> str:
    """The first names, and how many more there are.

    >>> some("abcd", 2)
    'a, b and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
