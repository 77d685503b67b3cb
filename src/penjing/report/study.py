"""A study as a page, as lines of the terminal, and as JSON; from its table alone."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from penjing.core.study import Cell, Curve, Paired, Shown, Table
from penjing.report import formats
from penjing.report.environment import environment
from penjing.report.views.differences import p_value
from penjing.report.views.lines import DASHES, MARKS, Chart, Mark, Series, Spot, lines

if TYPE_CHECKING:
    from rich.console import RenderableType

CLEAR = 0.05
"""The corrected p below which a difference is called clear."""
MOST = 8
"""Points of a curve that the terminal shows."""


def study_page(table: Table) -> str:
    """The whole page as text: it needs nothing else, and every name in it is escaped."""
    series = _marks(table)
    return _template().render(
        table=table, headline=headline(table), unsaid=unsaid(table), marks=series,
        rows=[_row(table, f) for f in table.figures],
        charts=[lines(_chart(c, series)) for c in table.curves], facts=table.facts.items(),
    )  # fmt: skip


@cache
def _template() -> Any:
    return environment().get_template("study.html")


def headline(table: Table) -> str:
    """What the first figure says of the settings, in one sentence."""
    if not table.finished:
        return f"Nothing of {table.runs} runs is finished"
    if not table.figures:
        return f"{table.finished} of {table.runs} runs of {table.experiment}"
    first = table.figures[0]
    label, base = first.figure.label, first.cells[table.base]
    clear = [p for p in first.against.values() if p.p is not None and p.p < CLEAR]
    of = f"{label} with {table.base}: {say(first, base)}"
    if not first.against:
        return of
    return f"{of}; {len(clear)} of {len(first.against)} other settings differ clearly"


def unsaid(table: Table) -> str:
    """What the page cannot say: runs that are missing or failed, and too few seeds."""
    parts = []
    if table.finished < table.runs:
        parts.append(f"{table.runs - table.finished} of {table.runs} runs are not finished yet")
    if table.failed:
        parts.append(f"{len(table.failed)} runs failed and are missing below")
    if table.seeds < 2:
        parts.append("one seed: nothing is said of chance")
    return "; ".join(parts)


def say(shown: Shown, cell: Cell) -> str:
    """A cell as people read it: mean ± standard deviation."""
    return "–" if cell.mean is None else formats.quantity(cell.mean, shown.figure.unit, cell.deviation)


def gap(shown: Shown, paired: Paired | None) -> str:
    """A difference with its interval, signed; of shares in points."""
    if paired is None:
        return "–"
    text = signed(paired.mean, shown.figure.unit)
    if paired.low is None or paired.high is None:
        return text
    unit = " " + text.rpartition(" ")[2] if " " in text else ""
    low, high = (signed(v, shown.figure.unit) for v in (paired.low, paired.high))
    bare = low.endswith(unit) and high.endswith(unit)
    return f"{text} [{low.removesuffix(unit) if bare else low}, {high.removesuffix(unit) if bare else high}]"


def signed(value: float, unit: str) -> str:
    """A difference with its sign; of shares in points.

    >>> signed(0.0123, "fraction"), signed(-2.5, "nats")
    ('+1.23 points', '−2.50 nats')
    """
    if formats.is_share(unit):
        return f"{100 * value:+.3g} points".replace("-", "\u2212")
    return ("+" if value > 0 else "") + formats.quantity(value, unit)


def study_lines(table: Table) -> "Iterator[RenderableType]":
    """What `penjing study show` prints: a table for each figure, and one for each curve."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    yield Text(f"{headline(table)}.")
    if said := unsaid(table):
        yield Text(f"{said}.", style="yellow")
    for shown in table.figures:
        grid = Grid(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title=shown.figure.label, title_justify="left"
        )
        grid.add_column("setting")
        for name in ("mean ± sd", "n", f"less {table.base} [95 %]", "p, Holm"):
            grid.add_column(name, justify="right", no_wrap=name == "n")
        for row in _row(table, shown)["settings"]:
            grid.add_row(Text(row["name"]), row["mean"], row["n"], row["gap"], row["p"])
        yield grid
    for curve in table.curves:
        yield _curve_grid(curve)
    for setting, seed, why in table.failed[:5]:
        yield Text(f"failed: {setting}, seed {seed}: {why}", style="yellow")


def study_json(table: Table) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "experiment": table.experiment, "runs": table.runs, "finished": table.finished,
        "failed": [{"setting": s, "seed": seed, "error": why} for s, seed, why in table.failed],
        "settings": list(table.settings), "base": table.base, "headline": headline(table),
        "figures": [
            {"name": f.name, "label": f.figure.label, "unit": f.figure.unit, "better": f.figure.better,
             "settings": {s: vars(c) for s, c in f.cells.items()},
             "against": {s: vars(p) for s, p in f.against.items()}}
            for f in table.figures
        ],
        "curves": [
            {"name": c.name, "label": c.figure.label, "across": c.across, "n": dict(c.n),
             "points": {s: [[_known(v) for v in p] for p in points] for s, points in c.points.items()}}
            for c in table.curves
        ],
    }  # fmt: skip


def _known(value: float | None) -> float | None:
    """The number, or None where there is none: JSON has no NaN."""
    return None if value is None or value != value else value


def _row(table: Table, shown: Shown) -> dict[str, Any]:
    out = []
    for setting in table.settings:
        cell, against = shown.cells[setting], shown.against.get(setting)
        p = p_value(against.p) if against is not None and against.p is not None else "–"
        clear = against is not None and against.p is not None and against.p < CLEAR
        out.append({
            "name": setting, "mean": say(shown, cell), "n": str(cell.n), "p": p,
            "tone": _tone(shown, against) if clear else "",
            "gap": "the base" if setting == table.base else gap(shown, against),
        })  # fmt: skip
    return {"label": shown.figure.label, "better": shown.figure.better, "settings": out}


def _tone(shown: Shown, against: Paired | None) -> str:
    if against is None or not shown.figure.better:
        return ""
    return "better" if (against.mean > 0) == (shown.figure.better == "higher") else "worse"


def _marks(table: Table) -> dict[str, Mark]:
    names = list(dict.fromkeys([*table.settings, *(s for c in table.curves for s in c.points)]))
    return {n: Mark(number=i, name=n, look=i % MARKS, dash=DASHES[i % MARKS]) for i, n in enumerate(names)}


def _chart(curve: Curve, marks: dict[str, Mark]) -> Chart:
    series = [
        Series(mark=marks[s], spots=tuple(Spot(x=x, y=y, low=low, high=high) for x, y, low, high in points if y == y))
        for s, points in curve.points.items()
    ]
    return Chart(
        key=f"study-{curve.name}", label=curve.figure.label, across=curve.across, up=curve.figure.label,
        series=tuple(series), percent=formats.is_share(curve.figure.unit), legend=True,
    )  # fmt: skip


def _curve_grid(curve: Curve) -> "RenderableType":
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    longest = max(curve.points.values(), key=len)
    step = max(1, -(-len(longest) // MOST))
    places = sorted({*range(0, len(longest), step), len(longest) - 1})
    title = f"{curve.figure.label} over {curve.across}, mean ± half of the 95 % interval"
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title=title, title_justify="left")
    grid.add_column("")
    for place in places:
        grid.add_column(f"{longest[place][0]:.4g}", justify="right", no_wrap=True)
    for setting, points in curve.points.items():
        grid.add_row(
            Text(f"{setting} (n {curve.n[setting]})"),
            *(_spot(curve, points[i]) if i < len(points) else "–" for i in places),
        )
    return grid


def _spot(curve: Curve, point: tuple[float, float, float | None, float | None]) -> str:
    _, mean, low, high = point
    if mean != mean:
        return "–"
    return formats.quantity(mean, curve.figure.unit, None if low is None or high is None else (high - low) / 2)
