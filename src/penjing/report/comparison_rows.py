"""Each model of a comparison in a few words: what it saves, what it costs, and on how many measures that is clear."""

from dataclasses import dataclass

from penjing.core import Report, Subject
from penjing.report import formats
from penjing.report.build import changed, figure_ratio, known, tone
from penjing.report.facts import said, verdict_tone
from penjing.report.headline import first_figure
from penjing.report.views import Mark, differences, marks


@dataclass(frozen=True, kw_only=True)
class Part:
    """One figure's change."""

    label: str
    change: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model."""

    mark: Mark
    parts: tuple[Part, ...]
    verdict: str


def compared(report: Report) -> list[Entry]:
    """An entry for each model but the original."""
    tones: dict[int, list[str]] = {}
    for compared in differences(report):
        for one in compared.differences:
            if not one.missing:
                tones.setdefault(one.mark.number, []).append(one.tone)
    named = [n for group in ("size", "time", "quality") if (n := first_figure(report, group)) is not None]
    return [
        Entry(
            mark=mark,
            parts=tuple(part for n in named if (part := _part(report, subject, n)) is not None),
            verdict=_verdict(tones.get(mark.number, [])),
        )
        for mark, subject in zip(marks(report)[1:], report.subjects[1:], strict=True)
    ]


def _part(report: Report, subject: Subject, name: str) -> Part | None:
    figure = subject.figure(name)
    if figure is None:
        return None
    spoken, quotient = said(report, name), known(figure_ratio(report, subject, name))
    change = changed(report, subject, name)
    plain = tone(quotient, spoken.better) if quotient is not None else "even"
    way = verdict_tone(report, subject, name) or plain
    held_back = known(figure) is not None and known(report.subjects[0].figure(name)) is not None
    none = "withheld" if held_back else "not measured"
    return Part(label=spoken.label, change=change or none, tone=way if change else "even")


def _verdict(tones: list[str]) -> str:
    """`Of 5 tests: worse in 2, no clear difference in 3`."""
    said = {"worse": "worse in", "better": "better in", "even": "no difference shown in"}
    parts = [f"{text} {tones.count(one)}" for one, text in said.items() if one in tones]
    return f"Of {len(tones)} tests: {formats.listing(parts)}." if parts else ""
