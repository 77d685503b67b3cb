"""A sweep of models and one figure over it, with the items or the errors of each model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.core import Measurement, Subject
from penjing.core.report import Better
from penjing.errors import MeasureError
from penjing.evaluate.statistics import Draws, Records, aligned, at_chance, records

USUAL = Draws()


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model of a sweep at its `size`: a kept fraction, an expansion ratio or a number of parameters."""

    size: float
    subject: Subject


@dataclass(frozen=True, eq=False, kw_only=True)
class Series:
    """One figure over a sweep, the largest model first: sizes [points] and values [points].

    `records` are every model's items in one order, `errors` [points] every model's standard error, when all models
    have them.
    """

    name: str
    unit: str
    sizes: Tensor
    values: Tensor
    better: Better
    chance: float | None
    at_chance: tuple[bool | None, ...]
    errors: Tensor | None = None
    records: tuple[Records, ...] | None = None

    @property
    def logarithmic(self) -> bool:
        """Whether a straight line is looked for in the figure's logarithm: perplexities, which are exponentials."""
        return self.unit.startswith("perplexity") or bool(self.records and self.records[0].kind == "perplexity")

    @property
    def heights(self) -> Tensor:
        """[points]: the values, or their logarithms."""
        return self.values.log() if self.logarithmic else self.values

    @property
    def to_chance(self) -> bool:
        """Whether the figure has a chance level and ends nearer to it than it began."""
        if self.chance is None:
            return False
        return abs(float(self.values[-1]) - self.chance) < abs(float(self.values[0]) - self.chance)


def series(points: Sequence[Point], *, how: Draws = USUAL) -> tuple[Series, ...]:
    """Every quality figure that all models have a value of, one after another, the largest model first.

    Figures with neither items, nor a standard error, nor a group are left out: sizes and counts.

    Raises:
        MeasureError: fewer than three models, two of one size, or items that differ between models.
    """
    ordered = sorted(points, key=lambda p: -p.size)
    sizes = [p.size for p in ordered]
    if len(set(sizes)) < 3 or len(set(sizes)) < len(sizes):
        raise MeasureError(
            f"found {len(sizes)} models of {len(set(sizes))} sizes; a sweep needs at least 3 models, "
            "each of another size"
        )
    out = []
    for first in ordered[0].subject.figures:
        figures = [f for p in ordered if (f := p.subject.figure(first.name)) is not None and f.value is not None]
        if len(figures) == len(ordered) and _is_quality(first):
            out.append(_series(sizes, figures, how))
    return tuple(out)


def from_table(
    sizes: Sequence[float],
    table: Mapping[str, Sequence[float]],
    *,
    chances: Mapping[str, float] | None = None,
    spreads: Mapping[str, Sequence[float]] | None = None,
    perplexities: Collection[str] = (),
) -> tuple[Point, ...]:
    """A sweep from published rows: `table` and `spreads` (standard errors) hold one number per size and figure.

    The rows named in `perplexities` are better when lower, the others are scores, better when higher.

    Raises:
        MeasureError: a row has not one number per size.
    """
    chances, spreads = chances or {}, spreads or {}
    for name, row in [*table.items(), *spreads.items()]:
        if len(row) != len(sizes):
            raise MeasureError(f"'{name}' has {len(row)} numbers for {len(sizes)} sizes; give one for each")
    out = []
    for i, size in enumerate(sizes):
        figures = tuple(
            Measurement(
                name=name,
                value=row[i],
                unit="perplexity" if name in perplexities else "score",
                better="lower" if name in perplexities else "higher",
                group="quality",
                spread=spreads[name][i] if name in spreads else None,
                spread_kind="standard error" if name in spreads else "",
                chance=chances.get(name),
            )
            for name, row in table.items()
        )
        out.append(Point(size=size, subject=Subject(name=f"{size:g}", source="", figures=figures)))
    return tuple(out)


def _is_quality(figure: Measurement) -> bool:
    told = bool(figure.items) or figure.spread_kind.startswith("standard error") or figure.chance is not None
    return told or figure.group == "quality"


def _series(sizes: Sequence[float], figures: Sequence[Measurement], how: Draws) -> Series:
    first = figures[0]
    of = [records(f) for f in figures]
    whole = [r for r in of if r is not None]
    together = None
    if len(whole) == len(figures) and len(whole[0].rows) > 1:
        named = {f"the model of size {s:g}": r for s, r in zip(sizes, whole, strict=True)}
        together = tuple(aligned(first.name, named).values())
    return Series(
        name=first.name,
        unit=first.unit,
        sizes=torch.tensor(sizes, dtype=torch.float64),
        values=torch.tensor([f.value for f in figures], dtype=torch.float64),
        better=first.better,
        chance=first.chance,
        at_chance=tuple(at_chance(f, r, how) for f, r in zip(figures, of, strict=True)),
        errors=_errors(figures),
        records=together,
    )


def _errors(figures: Sequence[Measurement]) -> Tensor | None:
    found = [f.spread for f in figures if f.spread is not None and f.spread_kind.startswith("standard error")]
    return torch.tensor(found, dtype=torch.float64) if len(found) == len(figures) else None
