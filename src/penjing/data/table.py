"""Tables of numbers for a module of one's own: a CSV file as batches, parted into training and held-out rows."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.errors import DataError, nearest

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""What stands for no value, in lower case."""
BATCH = 64
"""Rows that go through a module together."""
SHOWN = 8
"""Columns or rows that an error names at most."""
MOST_CLASSES = 50
"""A target of more different whole numbers is taken for an amount."""
Target = Literal["auto", "classes", "amount"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows of a table as a module takes them: float32 [rows features], standardised by the training rows.

    `batches` and `held_out` are for `data` and `held_out` of `shrink`: pairs (features, class numbers [rows]), or the
    features alone where the target is an amount. `metric` is for its `metric`: the accuracy, or the root mean squared
    error, on the held-out rows. `mean` and `std` [features] undo the scale; `classes` are the names of the classes.
    """

    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    training: tuple[Tensor, Tensor]
    judged: tuple[Tensor, Tensor]
    lines: tuple[int, ...]
    left_out: int

    @property
    def batches(self) -> list[Tensor | tuple[Tensor, Tensor]]:
        """The training rows, as `data` takes them."""
        return self._parts(self.training)

    @property
    def held_out(self) -> list[Tensor | tuple[Tensor, Tensor]]:
        """The held-out rows, as `held_out` takes them."""
        return [part if isinstance(part, Tensor) else part[0] for part in self._parts(self.judged)]

    @property
    def example(self) -> Tensor:
        """Two rows, as `example` takes them."""
        return self.training[0][:2]

    def metric(self, module: nn.Module) -> Mapping[str, Measurement]:
        """How well a module predicts the held-out rows, with the spread over them.

        Raises:
            DataError: its outputs are of another shape.
        """
        first = next(module.parameters(), None)
        inputs, wanted = self.judged
        given = inputs if first is None else inputs.to(first.device, first.dtype)
        with torch.no_grad():
            out = torch.cat([module(part) for part in given.split(BATCH)]).float().cpu()
        width = len(self.classes) or 1
        if out.shape not in ((len(inputs), width), (len(inputs),) if width == 1 else ()):
            needed = f"[{len(inputs)} {width}]"
            raise DataError(
                f"the module gave {list(out.shape)} for {self.target}, needed {needed}; change its last layer"
            )
        return {"accuracy": self._accuracy(out, wanted)} if self.classes else {"rmse": self._error(out, wanted)}

    def _parts(self, rows: tuple[Tensor, Tensor]) -> list[Tensor | tuple[Tensor, Tensor]]:
        if not self.classes:
            return [*rows[0].split(BATCH)]
        return [*zip(rows[0].split(BATCH), rows[1].split(BATCH), strict=True)]

    def _accuracy(self, out: Tensor, wanted: Tensor) -> Measurement:
        right = (out.argmax(1) == wanted).long()
        value, n = float(right.double().mean()), len(right)
        return Measurement(
            name="accuracy", value=value, unit="share of rows", n=n, label=f"{self.target}: accuracy", better="higher",
            group="quality", spread=math.sqrt(value * (1 - value) / (n - 1)), spread_kind="standard error",
            chance=1 / len(self.classes), protocol="table/1 held-out rows, largest output",
            items={"id": list(self.lines), "correct": right.tolist()},
        )  # fmt: skip

    def _error(self, out: Tensor, wanted: Tensor) -> Measurement:
        squares = (out.flatten() - wanted).double().square()
        value, n = float(squares.mean().sqrt()), len(squares)
        return Measurement(
            name="rmse", value=value, unit=self.target, n=n, label=f"{self.target}: root mean squared error",
            better="lower", group="quality", spread=float(squares.std()) / math.sqrt(n) / (2 * value) if value else 0.0,
            spread_kind="standard error, by the delta method", protocol="table/1 held-out rows",
        )  # fmt: skip


def table(
    path: str | Path, *, target: str, drop: Sequence[str] = (), held_out: float = 0.2,
    missing: Literal["refuse", "drop"] = "refuse", kind: Target = "auto", standardise: bool = True, seed: int = 0,
) -> Table:  # fmt: skip
    """A CSV file whose first line names its columns, as batches for `shrink` of a module.

    All columns but the `target` and those to `drop` are features, in the file's order. A share `held_out` of the rows,
    drawn by `seed`, is kept for judging; means and standard deviations are of the others alone, and `standardise` False
    leaves the numbers as they are. Rows with a missing value are refused, or left out with `missing="drop"`. A target
    of text, or of the whole numbers 0, 1, 2 ... (at most 50), is one of classes; `kind` "classes" or "amount" says so.

    Raises:
        DataError: the file cannot be read, a column is not there or not of numbers, a value is missing, or there are
            too few rows.
    """
    names, rows, lines = _read(Path(path))
    _check(path, names, target, drop, held_out)
    columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(names) if name not in drop}
    whole = _whole(path, columns, lines, missing)
    asked = columns.pop(target)
    answers, classes = _answers([asked[i] for i in whole], kind, path, target)
    numbers = _numbers(path, {n: [c[i] for i in whole] for n, c in columns.items()})
    values = torch.tensor(numbers, dtype=torch.float64).T
    count = round(held_out * len(whole))
    if count < 2 or len(whole) - count < 2:
        raise DataError(f"{path}: found {len(whole)} whole rows, needed 2 to plan from and 2 held out; give more")
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    judged, training = order[:count].sort().values, order[count:].sort().values
    mean, std = values[training].mean(0), values[training].std(0)
    std = torch.where(std > 0, std, torch.ones_like(std))  # a column that does not vary becomes zero
    if not standardise:
        mean, std = torch.zeros_like(mean), torch.ones_like(std)
    scaled = ((values - mean) / std).float()
    return Table(
        features=tuple(columns), target=target, classes=classes, mean=mean.float(), std=std.float(),
        training=(scaled[training], answers[training]), judged=(scaled[judged], answers[judged]),
        lines=tuple(lines[whole[i]] for i in judged.tolist()), left_out=len(rows) - len(whole),
    )  # fmt: skip


def _read(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """(names of columns, rows, the line of each)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            mark = max(",;\t", key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=mark)
            names = [name.strip() for name in next(reader, [])]
            found = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); needed a CSV file in UTF-8") from error
    if len(names) < 2 or not found or all(map(_is_number, names)):
        raise DataError(f"{path}: needed a first line with the names of two or more columns, and rows below it")
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise DataError(f"{path}: {_some(twice)} names several columns; give each a name of its own")
    if wrong := next(((line, len(row)) for line, row in found if len(row) != len(names)), None):
        raise DataError(f"{path}, line {wrong[0]}: found {wrong[1]} values, needed {len(names)}; correct the line")
    return names, [row for _, row in found], [line for line, _ in found]


def _check(path: str | Path, names: Sequence[str], target: str, drop: Sequence[str], held_out: float) -> None:
    for name in (target, *drop):
        if name not in names:
            raise DataError(f"{path} has no column '{name}'{nearest(name, names)}; it has {_some(names)}")
    if target in drop or len(names) - len(set(drop)) < 2:
        raise DataError(f"{path}: the target '{target}' and one more column are needed; drop fewer")
    if not 0 < held_out < 1:
        raise DataError(f"found held_out={held_out:g}, needed a share of the rows above 0 and below 1, such as 0.2")


def _whole(path: str | Path, columns: Mapping[str, list[str]], lines: Sequence[int], missing: str) -> list[int]:
    """The rows without a missing value."""
    lost = {name: [i for i, v in enumerate(values) if v.lower() in MISSING] for name, values in columns.items()}
    lost = {name: places for name, places in lost.items() if places}
    if lost and missing != "drop":
        told = [f"{n} ({len(p)}: line {_some([lines[i] for i in p], 3)})" for n, p in lost.items()]
        raise DataError(
            f"{path} has missing values in {_some(told)}; fill them in, leave out such rows with missing='drop', or "
            "such columns with drop=[...]"
        )
    gone = {i for places in lost.values() for i in places}
    return [i for i in range(len(lines)) if i not in gone]


def _numbers(path: str | Path, columns: Mapping[str, list[str]]) -> list[list[float]]:
    if text := {n: next(v for v in c if not _is_number(v)) for n, c in columns.items() if not all(map(_is_number, c))}:
        told = [f"{name} (such as '{value}')" for name, value in text.items()]
        raise DataError(
            f"{path} has columns that are not numbers: {_some(told)}; write them as numbers (a point before decimals, "
            f"a column of 0 and 1 for each word), or leave them out with drop={list(text)[:SHOWN]}"
        )
    return [[float(v) for v in c] for c in columns.values()]


def _answers(values: list[str], kind: Target, path: str | Path, target: str) -> tuple[Tensor, tuple[str, ...]]:
    """(the target of each row, the names of its classes; none for an amount)."""
    numeric = all(map(_is_number, values))
    numbers = sorted({float(v) for v in values}) if numeric else []
    counted = numeric and 2 <= len(numbers) <= MOST_CLASSES and numbers == list(range(len(numbers)))
    if kind == "amount" or (kind == "auto" and numeric and not counted):
        return torch.tensor(_numbers(path, {target: values})[0]), ()
    names = [f"{v:g}" for v in numbers] if numeric else sorted(set(values))
    if len(names) < 2:
        raise DataError(f"{path}: {target} is the same in all rows; choose another target")
    place = {name: i for i, name in enumerate(names)}
    return torch.tensor([place[f"{float(v):g}" if numeric else v] for v in values]), tuple(names)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _some(names: Sequence[object], most: int = SHOWN) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
