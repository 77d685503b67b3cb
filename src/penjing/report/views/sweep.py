"""Every measure of quality against how much was kept, one small drawing each, in classes."""

from dataclasses import dataclass

from penjing.core import Report
from penjing.report import formats
from penjing.report.build import known, names
from penjing.report.facts import said
from penjing.report.views.lines import Chart, Lines, Series, Spot, lines, marks

CLASSES = {
    "fragile": "lost as the model shrinks",
    "robust": "no clear change",
    "rising": "better as the model shrinks",
    "at chance": "nothing there to lose",
    "undecided": "too little to tell",
}
"""Class -> how it is told, in the order of the page."""
SIZES = ("parameters", "weight_bytes", "bytes", "macs_per_token", "macs_per_sample", "macs")
ENDS = ("_class", "_sweep", "_trend", "_difference")


@dataclass(frozen=True, kw_only=True)
class Small:
    """One figure's drawing; `sort` is its class, empty when it has none."""

    name: str
    label: str
    better: str
    sort: str
    drawing: Lines


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The drawings, those of a class together; `across` is what they show below, `told` what the classes mean."""

    across: str
    smalls: tuple[Small, ...]
    told: tuple[tuple[str, str], ...]


def classes(report: Report) -> dict[str, str]:
    """Figure -> class, from `details["class"]` of figures, or of ratios that name the figure."""
    out: dict[str, str] = {}
    for one in report.ratios:
        if isinstance(one.details.get("class"), str):
            out[str(one.details.get("figure", _bare(one.name)))] = _tidy(one.details["class"])
    for subject in report.subjects:
        for figure in subject.figures:
            if isinstance(figure.details.get("class"), str):
                out[figure.name] = _tidy(figure.details["class"])
    return out


def _bare(name: str) -> str:
    return next((name.removesuffix(end) for end in ENDS if name.endswith(end)), name)


def _tidy(text: str) -> str:
    clean = text.replace("_", " ").replace("-", " ").strip().lower()
    return "at chance" if clean == "chance" else clean


def sweep(report: Report) -> Sweep | None:
    """The drawings, or None below three models with a size and a quality each."""
    size = next((n for n in SIZES if sum(known(s.figure(n)) is not None for s in report.subjects) >= 3), None)
    if size is None:
        return None
    whole = known(report.subjects[0].figure(size))
    if not whole:
        return None
    kept = [None if (v := known(s.figure(size))) is None else v / whole for s in report.subjects]
    found = classes(report)
    smalls = [s for name in names(report) if (s := _small(report, name, kept, found.get(name, ""))) is not None]
    if not smalls:
        return None
    order = [*CLASSES, *dict.fromkeys(c for c in found.values() if c not in CLASSES), ""]
    smalls.sort(key=lambda s: order.index(s.sort))
    told = tuple((c, text) for c, text in CLASSES.items() if any(s.sort == c for s in smalls))
    return Sweep(across=f"share of {said(report, size).label.lower()} kept", smalls=tuple(smalls), told=told)


def _small(report: Report, name: str, kept: list[float | None], sort: str) -> Small | None:
    unit = next((f.unit for s in report.subjects if (f := s.figure(name)) is not None), "")
    spoken = said(report, name)
    if spoken.group != "quality":
        return None
    series, chance = [], None
    for mark, subject, x in zip(marks(report), report.subjects, kept, strict=True):
        figure = subject.figure(name)
        y = known(figure)
        if figure is None or y is None or x is None or abs(y) == float("inf"):
            continue
        chance = figure.chance if figure.chance is not None else chance
        half = 1.96 * figure.spread if figure.spread is not None and "error" in figure.spread_kind else None
        low, high = (None, None) if half is None else (y - half, y + half)
        spot = Spot(x=x, y=y, low=low, high=high, n=figure.n)
        series.append(Series(mark=mark, spots=(spot,)))
    if len(series) < 3:
        return None
    percent = unit.split(" of ")[0] in formats.FRACTIONS
    values = [s.y for one in series for s in one.spots]
    log = not percent and min(values) > 0 and max(values) / min(values) > 8
    if log:
        # A standard error reaches below zero where no logarithm is.
        series = [Series(mark=o.mark, spots=tuple(Spot(x=s.x, y=s.y, n=s.n) for s in o.spots)) for o in series]
    chart = Chart(
        key=f"sweep-{name}", label=spoken.label, across="", up="", series=tuple(series), percent=percent,
        level=None if log else chance, percent_across=True, log=log, thread=True,
    )  # fmt: skip
    return Small(name=name, label=spoken.label, better=spoken.better, sort=sort, drawing=lines(chart))
