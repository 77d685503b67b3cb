"""What the columns of a table hold: numbers, words or nothing; all that keeps them from being used is said at once."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from penjing.data.delimited import SHOWN, some
from penjing.errors import DataError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""What stands for no value among numbers, in lower case; among words only an empty cell does."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""Narrower than `float`, which reads 1_10 as 110."""
LARGEST = torch.finfo(torch.float32).max
MOST_CLASSES = 50
"""A target of more different whole numbers is taken for an amount."""
Target = Literal["auto", "classes", "amount"]
Lost = Literal["refuse", "drop"]
Sort = Literal["words", "ids", "amount"]


def is_number(text: str) -> bool:
    """Whether the text is a decimal number, of whatever size."""
    return NUMBER.fullmatch(text) is not None


def sort_of(values: Sequence[str], kind: Target) -> Sort:
    """What a target is: classes named by words, classes named by numbers ("ids"), or an amount."""
    if kind == "amount":
        return "amount"
    numbers = {Decimal(v) for v in values if is_number(v)}
    if not numbers or any(v.lower() not in MISSING for v in values if not is_number(v)):
        return "words"
    counted = 2 <= len(numbers) <= MOST_CLASSES and sorted(numbers) == list(range(len(numbers)))
    return "ids" if kind == "classes" or counted else "amount"


def whole_rows(
    path: str | Path, columns: Mapping[str, list[str]], lines: Sequence[int], missing: Lost, target: str, sort: Sort
) -> list[int]:
    """The rows without a missing value.

    Raises:
        DataError: there are missing values that are not to be left out, or numbers that are none or too large.
    """
    lost = {n: _lost(c, sort == "words" and n == target) for n, c in columns.items()}
    gone = set().union(*lost.values())
    whole = [i for i in range(len(lines)) if i not in gone]
    wrong: list[str] = []
    mend: list[str] = []
    if gone and missing == "refuse":
        told = [f"{n} ({len(p)}: line {some([lines[i] for i in p], 3)})" for n, p in lost.items() if p]
        wrong += [f"missing values in {some(told)}"]
        mend += ["fill in what is missing, leave out such rows with missing='drop', or such columns with drop=[...]"]
    text: dict[str, str] = {}
    large: list[str] = []
    for name, column in columns.items():
        if name == target and sort != "amount":
            continue
        without = gone if missing == "drop" else {*lost[name]}
        read = [i for i in range(len(lines)) if i not in without]
        odd = next((column[i] for i in read if not is_number(column[i])), None)
        over = next((i for i in read if is_number(column[i]) and abs(float(column[i])) > LARGEST), None)
        if odd is not None:
            text[name] = odd
        elif over is not None:
            large += [f"{name} ({column[over]} in line {lines[over]})"]
    if text:
        told = [f"{n} (such as '{v}')" for n, v in text.items()]
        wrong += [f"columns that are not numbers: {some(told)}"]
        mend += _mended(text, target)
    if large:
        wrong += [f"numbers too large for float32: {some(large)}"]
        mend += ["give what is too large in a larger unit, or as its logarithm"]
    if wrong:
        raise DataError(f"{path} has {'; and '.join(wrong)}; {'; '.join(mend)}")
    return whole


def _lost(values: Sequence[str], words: bool) -> list[int]:
    return [i for i, v in enumerate(values) if (not v if words else v.lower() in MISSING)]


def _mended(text: Mapping[str, str], target: str) -> list[str]:
    features = [name for name in text if name != target]
    out = []
    if features:
        out += [
            "write them as numbers (a point before decimals, a column of 0 and 1 for each word), or leave them out "
            f"with drop={features[:SHOWN]}"
        ]
    if target in text:
        out += [f"write {target} as numbers, or have its words as classes with kind='classes'"]
    return out


def answers(values: Sequence[str], sort: Sort, path: str | Path, target: str) -> tuple[Tensor, tuple[str, ...]]:
    """(the target of each row, the names of its classes in order; none for an amount).

    Numbers are compared as decimals, exactly, and bear the name under which they come first.

    Raises:
        DataError: all rows are of one class.
    """
    if sort == "amount":
        return torch.tensor([float(v) for v in values]), ()
    keys = [Decimal(v) for v in values] if sort == "ids" else [*values]
    names = dict(zip(reversed(keys), reversed(values), strict=True))  # the last one written is the first in the file
    if len(names) < 2:
        raise DataError(f"{path}: {target} is the same in all rows; choose another target")
    place = {key: i for i, key in enumerate(sorted(names))}
    return torch.tensor([place[key] for key in keys]), tuple(names[key] for key in place)
