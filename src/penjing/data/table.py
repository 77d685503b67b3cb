"""Tables of numbers for a module of one's own: a CSV file as batches, parted into training and held-out rows."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.data.columns import Lost, Target, answers, is_number, sort_of, whole_rows
from penjing.data.delimited import read, some
from penjing.errors import DataError, RequestError, nearest

BATCH = 64
"""Rows that go through a module together."""


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
    path: str | Path, *, target: str, drop: str | Sequence[str] = (), held_out: float = 0.2,
    missing: Lost = "refuse", kind: Target = "auto", standardise: bool = True, seed: int = 0,
) -> Table:  # fmt: skip
    """A CSV file whose first line names its columns, as batches for `shrink` of a module.

    All columns but the `target` and those to `drop` are features, in the file's order. A share `held_out` of the rows,
    drawn by `seed`, is kept for judging; means and standard deviations are of the others alone, and `standardise` False
    leaves the numbers as they are. A target of words, or of the whole numbers 0, 1, 2 ... (at most 50), is one of
    classes, named as they stand in the file; `kind` "classes" or "amount" says so. Rows with a missing value are
    refused, or left out with `missing="drop"`. Missing is an empty cell; in columns of numbers also na, n/a, nan, null,
    none and ?, which in a target of words are classes like any other. The features are columns of numbers, and so is a
    target whose other values are all numbers.

    Raises:
        DataError: the file cannot be read, a column is not there or not of numbers, a value is missing or too large for
            float32, or there are too few rows.
        RequestError: an option is not one of those that there are.
    """
    dropped = _dropped(drop)
    _check_options(target, held_out, missing, kind, standardise, seed)
    names, rows, lines = read(Path(path))
    _check_columns(path, names, target, dropped)
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names) if name not in dropped}
    sort = sort_of(columns[target], kind)
    whole = whole_rows(path, columns, lines, missing, target, sort)
    count = round(held_out * len(whole))
    if count < 2 or len(whole) - count < 2:
        raise DataError(f"{path}: found {len(whole)} whole rows, needed 2 to plan from and 2 held out; give more")
    asked = columns.pop(target)
    wanted, classes = answers([asked[i] for i in whole], sort, path, target)
    values = torch.tensor([[float(c[i]) for i in whole] for c in columns.values()], dtype=torch.float64).T
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(int(seed)))
    judged, training = order[:count].sort().values, order[count:].sort().values
    mean, std = values[training].mean(0), values[training].std(0)
    std = torch.where(std > 0, std, torch.ones_like(std))  # a column that does not vary becomes zero
    if not standardise:
        mean, std = torch.zeros_like(mean), torch.ones_like(std)
    scaled = ((values - mean) / std).float()
    if beyond := (~(scaled.isfinite() & std.float().isfinite())).nonzero().tolist():
        row, place = beyond[0]
        name, line = [*columns][place], lines[whole[row]]
        raise DataError(f"{path}: {name} in line {line} cannot be standardised in float32; correct it, or drop {name}")
    return Table(
        features=tuple(columns), target=target, classes=classes, mean=mean.float(), std=std.float(),
        training=(scaled[training], wanted[training]), judged=(scaled[judged], wanted[judged]),
        lines=tuple(lines[whole[i]] for i in judged.tolist()), left_out=len(rows) - len(whole),
    )  # fmt: skip


def _dropped(drop: str | Sequence[str]) -> list[str]:
    given = [drop] if isinstance(drop, str) else drop
    if not isinstance(given, Sequence | Set) or not all(isinstance(name, str) for name in given):
        raise RequestError(f"found drop={drop!r}, needed the name of a column or a list of names")
    return list(given)


def _check_options(target: str, held_out: float, missing: str, kind: str, standardise: bool, seed: int) -> None:
    if not isinstance(target, str):
        raise RequestError(f"found target={target!r}, needed the name of a column")
    for name, value, known in (("missing", missing, get_args(Lost)), ("kind", kind, get_args(Target))):
        if value not in known:
            told = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
            raise RequestError(f"found {name}={value!r}, needed {told}{nearest(str(value), known)}")
    share = f"found held_out={held_out!r}, needed a share of the rows above 0 and below 1, such as 0.2"
    if isinstance(held_out, bool) or not isinstance(held_out, Real):
        raise RequestError(share)
    if not 0 < held_out < 1:
        raise DataError(share)
    if not isinstance(standardise, bool):
        raise RequestError(f"found standardise={standardise!r}, needed True or False")
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise RequestError(f"found seed={seed!r}, needed a whole number")


def _check_columns(path: str | Path, names: Sequence[str], target: str, drop: Sequence[str]) -> None:
    if all(map(is_number, names)):
        raise DataError(f"{path}: needed a first line with the names of its columns, and found {some(names)}")
    for name in (target, *drop):
        if name not in names:
            raise DataError(f"{path} has no column '{name}'{nearest(name, names)}; it has {some(names)}")
    if target in drop or len(names) - len(set(drop)) < 2:
        raise DataError(f"{path}: the target '{target}' and one more column are needed; drop fewer")
