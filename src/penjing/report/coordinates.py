"""A coordinate check as a page and as lines of the terminal."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penjing.pipeline.coordinates import FLAT, WAYS, Coordinates
from penjing.report.environment import environment
from penjing.report.views.lines import DASHES, MARKS, Chart, Mark, Series, Spot, lines

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMES = {"standard": "as it is", "mup": "by the rules (muP)"}
TONES = {"flat": "better", "growing": "worse", "falling": "worse", "not finite": "worse"}


def headline(found: Coordinates) -> str:
    """In how many layers the change keeps its size, by the rules and as the network is."""
    told = []
    for way in reversed(WAYS):
        verdicts = [found.verdict(way, m) for m in found.modules]
        others = {v: verdicts.count(v) for v in dict.fromkeys(verdicts) if v != "flat"}
        said = "".join(f", {n} {v}" for v, n in others.items())
        told.append(f"{NAMES[way]}, {verdicts.count('flat')} of {len(verdicts)}{said}")
    return f"Layers whose change does not depend on the width: {told[0]}; {told[1]}"


def coordinates_html(found: Coordinates) -> str:
    """The whole page as text: it needs nothing else, and every name in it is escaped."""
    series = [
        Mark(number=i, name=m, look=i % MARKS, dash=DASHES[i % MARKS]) for i, m in enumerate(_shown(found))
    ]
    return environment().get_template("coordinates.html").render(
        headline=headline(found), charts=[lines(_chart(found, way, series)) for way in WAYS],
        rows=[_row(found, m) for m in found.modules], names=[NAMES[w] for w in WAYS], flat=FLAT, marks=series,
        shown=len(series), count=len(found.modules), found=found, facts=_facts(found),
    )  # fmt: skip


def coordinates_lines(found: Coordinates) -> "Iterator[RenderableType]":
    """What the command prints: a line for each layer."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    yield Text(f"{headline(found)}.")
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    grid.add_column("layer")
    for way in WAYS:
        grid.add_column(NAMES[way], justify="right")
        grid.add_column("")
    for row in (_row(found, m) for m in found.modules):
        cells = [cell for c in row["cells"] for cell in (c["slope"], Text(c["verdict"], style=_style(c["tone"])))]
        grid.add_row(Text(row["module"]), *cells)
    yield grid
    yield Text(
        f"slope of log |change of the outputs| after {found.steps} steps over log width, with its 95 % interval, "
        f"{len(found.times)} widths and {found.seeds} seeds; flat: all of it within {FLAT:g} of 0",
        style="dim",
    )


def _style(tone: str) -> str:
    return {"better": "green", "worse": "red"}.get(tone, "")


def _row(found: Coordinates, module: str) -> dict[str, Any]:
    cells = []
    for way in WAYS:
        slope, verdict = found.slope(way, module, "change"), found.verdict(way, module)
        text = f"{slope.value:+.2f} [{slope.low:+.2f}, {slope.high:+.2f}]" if math.isfinite(slope.value) else "–"
        cells.append({"slope": text.replace("-", "\u2212"), "verdict": verdict, "tone": TONES.get(verdict, "")})
    return {"module": module, "cells": cells}


def _shown(found: Coordinates) -> list[str]:
    """The layers that a drawing has room for: those that depend on the width the most, in the order of the network."""
    steep = {m: max(_steepness(found, w, m) for w in WAYS) for m in found.modules}
    most = sorted(steep, key=lambda m: -steep[m])[:MARKS]
    return [m for m in found.modules if m in most]


def _steepness(found: Coordinates, way: str, module: str) -> float:
    value = found.slope(way, module, "change").value
    return abs(value) if math.isfinite(value) else 0.0


def _chart(found: Coordinates, way: str, marks: list[Mark]) -> Chart:
    series = []
    for mark in marks:
        own = found.of(way, mark.name)
        spots = []
        for by in found.times:
            seen = [c.change for c in own if c.width == by and math.isfinite(c.change) and c.change > 0]
            if seen:
                middle = math.exp(math.fsum(map(math.log, seen)) / len(seen))
                spots.append(Spot(x=math.log2(by), y=middle, low=min(seen), high=max(seen), n=len(seen)))
        series.append(Series(mark=mark, spots=tuple(spots)))
    return Chart(
        key=f"coordinates-{way}", label=f"{NAMES[way][0].upper()}{NAMES[way][1:]}",
        across="doublings of the base's width",
        up=f"mean |change| after {found.steps} steps", series=tuple(series), log=True, legend=True,
    )  # fmt: skip


def _facts(found: Coordinates) -> list[tuple[str, str]]:
    recipe = found.recipe
    base = ", ".join(f"{k} {v}" for k, v in recipe["mup"]["base"].items())
    train = recipe["train"]
    return [
        ("Network", str(recipe["model"].get("name") or recipe["model"].get("config"))), ("Base", base),
        ("Widths", "the base's, times " + ", ".join(map(str, found.times))),
        ("Seeds", f"{found.seeds}, of the first values"),
        ("Steps", f"{found.steps} on one batch of {train['batch']}, at a rate of {train['learning_rate']:g}"),
        ("Optimiser", str(recipe["loop"].get("optimiser", "adamw"))),
    ]  # fmt: skip
