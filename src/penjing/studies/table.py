"""From the rows of a study to its table: means, spreads, and settings against the base over equal seeds."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from penjing.core.experiment import Figure
from penjing.core.study import Cell, Curve, Paired, Shown, Table
from penjing.errors import RequestError, nearest
from penjing.experiments import figures_of
from penjing.maths.holm import holm
from penjing.maths.student import mean_of
from penjing.studies.asked import Study
from penjing.studies.axes import over_settings
from penjing.studies.columns import numbers
from penjing.studies.journal import Row

__all__ = ["Table", "table_of"]


def table_of(study: Study, rows: Sequence[Row]) -> Table:
    """The table of what is finished.

    Raises:
        RequestError: a figure that is to be shown is not among those that were found.
    """
    told, good = figures_of(study.experiment), [r for r in rows if not r.error]
    names = _chosen(study, good)
    known = {n: told.get(n, Figure(label=n.replace("_", " "))) for n in names}
    lists = {n for n in names if any(isinstance(r.figures.get(n), list) for r in good)}
    figures = [_shown(study, good, n, known[n]) for n in names if n not in lists]
    over = {n: told.get(known[n].over, Figure(label=known[n].over or "place")) for n in lists}
    return Table(
        title=study.file.stem, experiment=study.experiment, settings=tuple(s.name for s in study.settings),
        base=study.base, seeds=len(study.seeds), runs=len(study.seeds) * len(study.settings), finished=len(rows),
        figures=tuple(_corrected(figures)),
        curves=(
            *(_curve(study, good, n, known[n], over[n].label) for n in names if n in lists),
            *over_settings(study, good, [f for f in figures if any(p.mean for p in f.against.values())]),
        ),
        failed=tuple((r.setting, r.seed, r.error) for r in rows if r.error),
        facts=_facts(study, rows),
    )  # fmt: skip


def _chosen(study: Study, rows: Sequence[Row]) -> list[str]:
    """The figures that are shown: those asked for, else all that are not aside, nor only there to draw others over."""
    there = list(dict.fromkeys(n for r in rows for n in r.figures))
    if not study.figures:
        told = figures_of(study.experiment)
        over = {f.over for f in told.values()}
        ordered = dict.fromkeys([*(n for n in told if n in there), *there])
        return [n for n in ordered if n not in over and not (n in told and told[n].aside)]
    for name in study.figures:
        if there and name not in there:
            raise RequestError(f"[show] has the figure '{name}'{nearest(name, there)}; there are {', '.join(there)}")
    return [n for n in study.figures if n in there]


def _shown(study: Study, rows: Sequence[Row], name: str, figure: Figure) -> Shown:
    found: dict[str, dict[int, float]] = {s.name: {} for s in study.settings}
    for row in rows:
        if name in row.figures:
            found[row.setting][row.seed] = float(row.figures[name])
    base = found[study.base]
    against = {}
    for setting, values in found.items():
        both = [s for s in values if s in base]
        if setting != study.base and both:
            against[setting] = paired([values[s] - base[s] for s in both])
    return Shown(
        name=name, figure=figure, cells={s: _cell(list(v.values())) for s, v in found.items()}, against=against
    )


def paired(gaps: Sequence[float]) -> Paired:
    """What differences over equal seeds say; no p where there is one seed, or no difference at all."""
    mean = sum(gaps) / len(gaps)
    if len(gaps) < 2 or not any(gaps):
        return Paired(mean=mean, low=None, high=None, p=None, n=len(gaps))
    said = mean_of(torch.tensor(gaps, dtype=torch.float64))
    return Paired(mean=mean, low=said.low, high=said.high, p=said.p, n=len(gaps))


def _corrected(figures: Sequence[Shown]) -> list[Shown]:
    """The same with p values that hold for all comparisons at once."""
    places = [(i, s) for i, one in enumerate(figures) for s, p in one.against.items() if p.p is not None]
    adjusted = dict(zip(places, holm([figures[i].against[s].p or 0.0 for i, s in places]), strict=True))
    return [
        replace(one, against={s: replace(p, p=adjusted.get((i, s))) for s, p in one.against.items()})
        for i, one in enumerate(figures)
    ]


def _cell(values: Sequence[float]) -> Cell:
    if not values:
        return Cell(mean=None, deviation=None, n=0)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Cell(mean=float(np.mean(values)), deviation=deviation, n=len(values))


def _curve(study: Study, rows: Sequence[Row], name: str, figure: Figure, across: str) -> Curve:
    points, counts = {}, {}
    for setting in study.settings:
        mine = [r.figures for r in rows if r.setting == setting.name and name in r.figures]
        if not mine:
            continue
        y = numbers(mine, name)
        x = np.nanmean(numbers(mine, figure.over), axis=0) if figure.over in mine[0] else np.arange(y.shape[1])
        points[setting.name] = tuple(_point(float(x[i]), y[:, i]) for i in range(y.shape[1]))
        counts[setting.name] = len(mine)
    return Curve(name=name, figure=figure, across=across, points=points, n=counts)


def _point(x: float, values: np.ndarray) -> tuple[float, float, float | None, float | None]:
    there = values[~np.isnan(values)]
    if len(there) < 2:
        return x, float(there.mean()) if len(there) else float("nan"), None, None
    said = mean_of(torch.from_numpy(there))
    return x, said.value, said.low, said.high


def _facts(study: Study, rows: Sequence[Row]) -> dict[str, str]:
    try:
        own = version("penjing")
    except PackageNotFoundError:
        own = "not installed as a package"
    seconds = sum(r.seconds for r in rows)
    return {
        "experiment": study.experiment,
        "seeds": " ".join(map(str, study.seeds)),
        "time of all runs": f"{seconds:,.0f} seconds" if seconds >= 10 else f"{seconds:.2g} seconds",
        "processes": str(len({r.where for r in rows if r.where})),
        "versions": f"penjing {own}, torch {torch.__version__}",
    }
