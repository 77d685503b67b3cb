"""What a study found, as plain data: for each setting a figure's mean and spread, and how settings differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penjing.core.experiment import Figure


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure of one setting: mean and standard deviation over `n` seeds; None where there is none."""

    mean: float | None
    deviation: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A setting less the base, over the `n` seeds that both have: the mean with its 95 % interval, and p.

    Of Student's t. `p` is corrected by Holm for all comparisons of the study; None below two seeds,
    or where nothing differs.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One figure of a study: a cell for each setting, and those that are not the base against it."""

    name: str
    figure: Figure
    cells: Mapping[str, Cell]
    against: Mapping[str, Paired]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One figure of numbers: for each setting its points (x, mean, low, high), the band being the 95 % interval."""

    name: str
    figure: Figure
    across: str
    points: Mapping[str, tuple[tuple[float, float, float | None, float | None], ...]]
    n: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Table:
    """All figures of a study; `failed` tells (setting, seed, why) of runs that have none."""

    title: str
    experiment: str
    settings: tuple[str, ...]
    base: str
    seeds: int
    runs: int
    finished: int
    figures: tuple[Shown, ...] = ()
    curves: tuple[Curve, ...] = ()
    failed: tuple[tuple[str, int, str], ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
