"""From a report to what is said of it: the headline, the rows of the table, the ratios."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from penjing.core import Measurement, Report, Subject
from penjing.report import formats
from penjing.report.facts import numbers, said, verdict_tone
from penjing.report.figures import AGAINST, PREDICTORS, Better, is_ratio, kind, spoken, stem

JOBS = {"decode": "decode_seconds_per_token", "prefill": "prefill_seconds"}
"""The figures that ratios of jobs speak of."""
NO_REASON = "no reason was recorded"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of one subject, as text. `missing` is the reason when there is no value.

    `tone` says whether the change is for the "better", the "worse", or "even"; `aside` is told below the text.
    """

    text: str
    missing: str = ""
    n: int = 0
    spread_kind: str = ""
    change: str = ""
    withheld: str = ""
    ratio: str = ""
    share: float | None = None
    tone: str = "even"
    aside: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of all subjects, in their order."""

    name: str
    label: str
    group: str
    cells: tuple[Cell, ...]
    protocols: tuple[str, ...] = ()
    chance: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One measured ratio of times, beside what predicts it and the A/A null. Numbers are ratios to the base."""

    label: str
    subject: str
    value: float | None
    spread: float | None
    predicted: float | None
    predicted_from: str
    null: float | None
    null_spread: float | None
    before: str
    after: str
    missing: str = ""
    n: int = 0
    protocol: str = ""


def known(figure: Measurement | None) -> float | None:
    """The value of a figure, or None where there is none or it is not a number."""
    if figure is None or figure.value is None or math.isnan(figure.value):
        return None
    return float(figure.value)


def reason(figure: Measurement | None) -> str:
    """Why a figure has no value."""
    if figure is None:
        return "not measured"
    why = figure.note or ("the result was not a number" if figure.value is not None else NO_REASON)
    verb = "" if why.lower().startswith(("withheld", "not measured")) else "not measured: "
    return verb + why


def margin(figure: Measurement) -> tuple[float | None, str]:
    """(what stands after ±, what it is): half of a spread that is a width, such as an inter-quartile range."""
    if figure.spread is None:
        return None, ""
    if figure.spread_kind.startswith(("width", "inter-quartile", "interquartile")):
        return figure.spread / 2, f"half the {figure.spread_kind}"
    return figure.spread, f"the {figure.spread_kind}" if figure.spread_kind else ""


def unit(figure: Measurement) -> str:
    """The unit, without a `per token` that the figure's label says already."""
    head, found, _ = figure.unit.partition(" per ")
    return head if found and " per " in kind(figure).label else figure.unit


def quantity(figure: Measurement) -> str:
    """The value with unit and ±; only for a figure that has one."""
    return formats.quantity(float(figure.value or 0), unit(figure), margin(figure)[0])


def unclear(ratio: Measurement | None) -> bool:
    """Whether a ratio's 95 % interval, or twice its ±, reaches over 1."""
    value = known(ratio)
    if ratio is None or value is None or value == 1:
        return False
    interval = ratio.details.get("interval")
    if isinstance(interval, list | tuple) and len(interval) == 2:
        return interval[0] <= 1 <= interval[1]
    half = margin(ratio)[0]
    return bool(half) and abs(value - 1) <= 2 * half


def figure_ratio(report: Report, subject: Subject, name: str) -> Measurement | None:
    """The ratio of a subject's figure to the base's: the measured one if the report has it, else the plain quotient.

    None when either figure is missing or the base is not above zero, and no ratio was recorded.
    """
    for ratio in report.ratios:
        of = ratio.details.get("subject", report.subjects[:2][-1].name)
        if is_ratio(ratio.name) and ratio_name(ratio) == name and of == subject.name:
            return ratio
    before, after = known(report.subjects[0].figure(name)), known(subject.figure(name))
    if before is None or after is None or before <= 0 or not math.isfinite(before):
        return None
    return Measurement(name=name, value=after / before, unit="ratio", note="the quotient of the two figures")


def ratio_name(ratio: Measurement) -> str:
    """The figure a ratio speaks of: `prefill_seconds` of `prefill_seconds_ratio`."""
    given = str(ratio.details.get("figure", ratio.name))
    for mark in ("_ratio", ".ratio", " ratio"):
        given = given.removesuffix(mark)
    given = given.removeprefix("ratio.").removeprefix("ratio_")
    return JOBS.get(given, given)


def names(report: Report) -> list[str]:
    """The names of all figures, sizes first, then quality, then time, each once."""
    found: dict[str, str] = {}
    for subject in report.subjects:
        for figure in subject.figures:
            found.setdefault(figure.name, figure.unit)
    return sorted(found, key=lambda n: said(report, n).rank)


def rows(report: Report) -> list[Row]:
    """One row per figure; of rows with one label each says in brackets what else its name holds."""
    out = [_row(report, name) for name in names(report)]
    count = Counter(r.label for r in out)
    return [replace(r, label=_told_apart(r)) if count[r.label] > 1 else r for r in out]


def _told_apart(row: Row) -> str:
    rest = row.name.rpartition(":")[2] if ":" in row.name else ""
    return f"{row.label}: {spoken(rest).lower()}" if rest and rest.lower() not in row.label.lower() else row.label


def _row(report: Report, name: str) -> Row:
    figures = [s.figure(name) for s in report.subjects]
    there = [f for f in figures if f is not None]
    spoken_of = said(report, name)
    chances = [f for f in there if f.chance is not None]
    notes = [f.note for f in there if known(f) is not None and f.note]
    return Row(
        name=name,
        label=_with_text(spoken_of.label, there),
        group=spoken_of.group,
        cells=tuple(_cell(report, s, name, spoken_of.better) for s in report.subjects),
        protocols=tuple(dict.fromkeys(f.protocol for f in there if f.protocol)),
        chance=formats.quantity(float(chances[0].chance or 0), unit(chances[0])) if chances else "",
        notes=tuple(dict.fromkeys(notes)),
    )


def _with_text(label: str, figures: Sequence[Measurement]) -> str:
    """The label with the text that a figure was taken on, where the label does not name it yet."""
    texts = {str(f.details["text"]) for f in figures if f.details.get("text")}
    return f"{label} ({texts.pop().replace('_', ' ')})" if len(texts) == 1 and "(" not in label else label


def _cell(report: Report, subject: Subject, name: str, better: Better) -> Cell:
    figure = subject.figure(name)
    value = known(figure)
    if figure is None and subject is report.subjects[0] and stem(name) in AGAINST:
        return Cell(text="–", aside="this is the original")
    if figure is None or value is None:
        why = reason(figure)
        return Cell(text="not measured", missing=why.removeprefix("not measured").removeprefix(": "))
    text, kind_of_spread = quantity(figure), margin(figure)[1]
    if subject is report.subjects[0]:
        return Cell(text=text, n=figure.n, spread_kind=kind_of_spread, share=1.0)
    ratio = figure_ratio(report, subject, name)
    quotient = known(ratio)
    if quotient is None:
        why = f"withheld: {ratio.note or NO_REASON}" if ratio is not None else ""
        return Cell(
            text=text,
            n=figure.n,
            spread_kind=kind_of_spread,
            withheld=why.replace("withheld: withheld", "withheld"),
        )
    shown = changed(report, subject, name)
    return Cell(
        text=text,
        n=figure.n,
        spread_kind=kind_of_spread,
        change=shown,
        ratio=formats.ratio(quotient, margin(ratio)[0] if ratio else None),
        share=quotient,
        tone=verdict_tone(report, subject, name) or tone(quotient, better),
    )


def tone(ratio: float, better: Better) -> str:
    """`better`, `worse` or `even`, for a ratio to the base."""
    if ratio == 1 or better == "unknown":
        return "even"
    return "better" if (ratio < 1) == (better == "lower") else "worse"


def changed(report: Report, subject: Subject, name: str) -> str:
    """The change against the base as words: per cent, a factor, or points for accuracies; empty if unknown."""
    before, after = report.subjects[0].figure(name), subject.figure(name)
    first, second = known(before), known(after)
    if (
        before is not None
        and first is not None
        and second is not None
        and formats.is_share(before.unit)
    ):
        return formats.points(second - first)
    quotient = known(figure_ratio(report, subject, name))
    return "" if quotient is None else formats.change(quotient)


def speeds(report: Report) -> list[Speed]:
    """Every time of every subject but the base, with prediction and null; what no model has is left to the limits."""
    return [
        _speed(report, subject, name)
        for name in names(report)
        if _is_time(report, name) and any(known(s.figure(name)) is not None for s in report.subjects)
        for subject in report.subjects[1:]
    ]


def _is_time(report: Report, name: str) -> bool:
    return said(report, name).group == "time" and stem(name) != "peak_memory_bytes"


def _speed(report: Report, subject: Subject, name: str) -> Speed:
    before, after = report.subjects[0].figure(name), subject.figure(name)
    ratio = figure_ratio(report, subject, name)
    details = ratio.details if ratio is not None else {}
    predicted, source = prediction(report, subject, name)
    given = numbers(details.get("predicted"))
    null = numbers(details.get("null", details.get("a_a", details.get("null_ratio"))))
    null_spread = numbers(details.get("null_spread"))
    if not null_spread:
        null_spread = numbers(details.get("null_interval"))[1:]
    value = known(ratio)
    missing = ""
    if value is None:
        missing = reason(ratio if ratio is not None else (after if known(after) is None else before))
    return Speed(
        label=said(report, name).label,
        subject=subject.name,
        value=value,
        spread=margin(ratio)[0] if ratio is not None else None,
        predicted=given[0] if given else predicted,
        predicted_from=str(details.get("predicted_from", source)),
        null=null[0] if null else None,
        null_spread=null_spread[0] if null_spread else (null[1] if len(null) > 1 else None),
        before=_plain(before),
        after=_plain(after),
        missing=missing,
        n=ratio.n if ratio is not None else 0,
        protocol=(ratio.protocol if ratio is not None else "") or (after.protocol if after is not None else ""),
    )


def _plain(figure: Measurement | None) -> str:
    value = known(figure)
    return "not measured" if figure is None or value is None else quantity(figure)


def prediction(report: Report, subject: Subject, name: str) -> tuple[float | None, str]:
    """(ratio, from what) that the sizes predict for a time; (None, "") when they are not there."""
    wanted, source = PREDICTORS.get(stem(name), ((), ""))
    for other in wanted:
        before, after = known(report.subjects[0].figure(other)), known(subject.figure(other))
        if before and after is not None:
            return after / before, source
    return None, ""
