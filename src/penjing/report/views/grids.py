"""Corruption heat maps: models by corruptions by severity, as cells with a step of shade."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from penjing.core import Report
from penjing.report import formats
from penjing.report.build import names
from penjing.report.facts import said
from penjing.report.figures import Better
from penjing.report.views.lines import Mark, finite, marks

STEPS = 8
"""Shades of a heat map, 0 the palest."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value as text, and its shade; `shade` is None where there is no value."""

    text: str
    shade: int | None
    said: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """One model: for each corruption the cells by severity, and the mean over them."""

    mark: Mark
    cells: tuple[tuple[Cell, ...], ...]
    means: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One figure's heat map. `pale` and `dark` say what the ends of the shades are."""

    name: str
    label: str
    corruptions: tuple[str, ...]
    severities: tuple[str, ...]
    blocks: tuple[Block, ...]
    pale: str
    dark: str
    better: Better


@dataclass(frozen=True, kw_only=True)
class _Ink:
    low: float
    high: float
    better: Better
    percent: bool

    def cell(self, value: float | None) -> Cell:
        if value is None:
            return Cell(text="", shade=None, said="not measured")
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        share = 1 - share if self.better == "lower" else share
        text = f"{100 * value:.0f}" if self.percent else f"{value:.3g}"
        return Cell(text=text, shade=min(STEPS - 1, max(0, int(share * STEPS))), said=self.number(value))

    def number(self, value: float) -> str:
        return formats.quantity(value, "fraction" if self.percent else "")


def grids(report: Report) -> list[Grid]:
    """One heat map per figure with `details["grid"]`: {"names", "severities", "values" by name}."""
    return [g for name in names(report) if (g := _grid(report, name)) is not None]


def _grid(report: Report, name: str) -> Grid | None:
    found, unit = [], ""
    for mark, subject in zip(marks(report), report.subjects, strict=True):
        figure = subject.figure(name)
        table = _table(figure.details.get("grid")) if figure is not None else None
        if figure is not None and table is not None:
            found.append((mark, *table))
            unit = figure.unit
    if not found:
        return None
    corruptions = list(dict.fromkeys(c for _, _, _, values in found for c, _ in values))
    severities = list(dict.fromkeys(s for _, _, listed, _ in found for s in listed))
    every = [v for _, _, _, values in found for v in values.values() if v is not None]
    if not every:
        return None
    better = said(report, name).better
    percent = formats.is_share(unit)
    ink = _Ink(low=min(every), high=max(every), better=better, percent=percent)
    ends = (ink.number(ink.low), ink.number(ink.high))
    return Grid(
        name=name,
        label=said(report, name).label,
        corruptions=tuple(c.replace("_", " ") for c in corruptions),
        severities=tuple(severities),
        blocks=tuple(_block(mark, values, corruptions, severities, ink) for mark, _, _, values in found),
        pale=ends[1] if better == "lower" else ends[0],
        dark=ends[0] if better == "lower" else ends[1],
        better=better,
    )


_Values = dict[tuple[str, str], float | None]


def _table(found: Any) -> tuple[list[str], list[str], _Values] | None:
    if not isinstance(found, dict):
        return None
    corruptions = found.get("names", found.get("corruptions"))
    severities, rows = found.get("severities"), found.get("values")
    if not all(isinstance(v, list | tuple) for v in (corruptions, severities, rows)):
        return None
    values: _Values = {}
    for corruption, row in zip(corruptions or (), rows or (), strict=False):
        if isinstance(row, list | tuple):
            for severity, value in zip(severities or (), row, strict=False):
                values[str(corruption), str(severity)] = finite(value)
    return [str(c) for c in corruptions or ()], [str(s) for s in severities or ()], values


def _block(mark: Mark, values: _Values, corruptions: Sequence[str], severities: Sequence[str], ink: _Ink) -> Block:
    cells, means = [], []
    for corruption in corruptions:
        row = [values.get((corruption, s)) for s in severities]
        there = [v for v in row if v is not None]
        cells.append(tuple(ink.cell(v) for v in row))
        means.append(ink.cell(fmean(there) if there else None))
    return Block(mark=mark, cells=tuple(cells), means=tuple(means))
