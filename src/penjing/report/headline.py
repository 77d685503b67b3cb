"""The answer in one sentence."""

from dataclasses import replace

from penjing.core import Measurement, Report, Subject
from penjing.report import formats
from penjing.report.build import changed, figure_ratio, known, names, reason, unclear, unit
from penjing.report.facts import said, verdict_tone
from penjing.report.figures import AGAINST, kind, stem

LONGEST = 200
"""Characters of a reason at most."""


def headline(report: Report) -> str:
    """What the figures say, in a sentence or two; what is missing is named as missing.

    "18 % fewer parameters, 15 % less time per generated token, perplexity 21.7 → 34.8 (+60 %)."
    """
    return " ".join(part for part in answer(report) if part)


def answer(report: Report) -> tuple[str, str]:
    """(the headline, the sentences about what is missing)."""
    if not report.subjects:
        return "This report has no models.", ""
    if len(report.subjects) == 1:
        return _one(report), ""
    if "healing" in report.provenance:  # behind original and result stand the model before, and perhaps a control
        return _pair(replace(report, subjects=report.subjects[:2]))
    return _pair(report) if len(report.subjects) == 2 else _many(report)


def first_figure(report: Report, groups: str) -> str | None:
    """The name of the most telling figure of a group that a report has: with values if possible."""
    found = [n for n in names(report) if said(report, n).group == groups and stem(n) != "peak_memory_bytes"]
    return next(
        (n for n in found if any(known(s.figure(n)) is not None for s in report.subjects)), next(iter(found), None)
    )


def _unit(report: Report, name: str) -> str:
    return next((f.unit for s in report.subjects for f in s.figures if f.name == name), "")


def _one(report: Report) -> str:
    subject, parts = report.subjects[0], []
    for group in ("size", "quality", "time"):
        name = first_figure(report, group)
        figure = subject.figure(name) if name else None
        value = known(figure)
        if name and figure is not None and value is not None:
            label = kind(figure).label.lower()
            text = formats.quantity(value, unit(figure))
            parts.append(f"{text} {label}" if name == "parameters" else f"{label} {text}")
    return f"{subject.name}: {', '.join(parts)}." if parts else f"{subject.name}: nothing was measured."


def _pair(report: Report) -> tuple[str, str]:
    after = report.subjects[1]
    said, unsaid = [], []
    for group in ("size", "time", "quality"):
        name = first_figure(report, group)
        if name is None:
            continue
        quality = group == "quality"
        part = _quality(report, after, worse_text(report, after, name)) if quality else _saving(report, after, name)
        if part:
            said.append(part)
        else:
            unsaid.append(_missing(report, after, name))
    if first_figure(report, "quality") is None:
        unsaid.append("Quality: not measured.")
    text = f"{', '.join(said)}." if said else "Nothing could be compared."
    return text[:1].upper() + text[1:], " ".join(unsaid)


def _saving(report: Report, subject: Subject, name: str) -> str:
    """`18 % fewer parameters`; empty when there is no ratio."""
    ratio = figure_ratio(report, subject, name)
    value = known(ratio)
    if value is None:
        return ""
    spoken = said(report, name)
    thing = spoken.label.lower()
    if value == 1:
        return f"{thing} unchanged"
    amount = formats.percent(value - 1) if value < 3 else f"{formats.times(value)} as much:"
    way = (spoken.less if value < 1 else spoken.more) or f"{'less' if value < 1 else 'more'} ({thing})"
    return f"{amount} {way}{' (within the spread)' if unclear(ratio) else ''}"


def worse_text(report: Report, subject: Subject, name: str) -> str:
    """Of several texts, the one on which the perplexity rose most; any other figure is itself."""
    if name != "perplexity":
        return name
    found = [n for n in names(report) if n == name or n.startswith(f"{name}:")]
    moved = {n: r for n in found if (r := known(figure_ratio(report, subject, n))) is not None}
    return max(moved, key=lambda n: moved[n]) if moved else name


def _on_text(figure: Measurement) -> str:
    """`perplexity on evaluation-novel`, where the text is known."""
    text = figure.details.get("text")
    label = kind(figure).label
    if not text or not figure.name.startswith("perplexity"):
        return _spoken(label) if stem(figure.name) in AGAINST else label.lower()
    return f"{label.partition(' (')[0].lower()} on {str(text).replace('_', ' ')}"


def _quality(report: Report, subject: Subject, name: str) -> str:
    """`perplexity 21.7 → 34.8 (+60 %)`; empty when either side is missing."""
    before, after = report.subjects[0].figure(name), subject.figure(name)
    first, second = known(before), known(after)
    if after is not None and second is not None and first is None:
        unsaid = "" if stem(name) in AGAINST else " (the original: not measured)"
        return f"{_on_text(after)} {formats.quantity(second, unit(after))}{unsaid}"
    if before is None or after is None or first is None or second is None:
        return ""
    label = _on_text(before)
    move = changed(report, subject, name)
    ratio = figure_ratio(report, subject, name)
    both = (before.spread or 0) ** 2 + (after.spread or 0) ** 2
    paired = ratio is not None and ratio.spread is not None
    blurred = unclear(ratio) if paired else bool(both) and abs(second - first) <= 2 * both**0.5
    tested = verdict_tone(report, subject, name)  # a test of the same blocks, pair by pair, sees more than spreads do
    blurred = blurred if tested is None else tested == "even"
    close = ", within the spread" if blurred and move != "unchanged" else ""
    tail = f" ({move}{close})" if move else ""
    was, now = formats.quantity(first, unit(before)), formats.quantity(second, unit(after))
    return f"{label} {formats.arrow(was, now)}{tail}"


def _missing(report: Report, subject: Subject, name: str) -> str:
    """A sentence that names the figure and the reason, as `Perplexity: not measured: no text was given`."""
    ratio = figure_ratio(report, subject, name)
    after, before = subject.figure(name), report.subjects[0].figure(name)
    source = ratio if ratio is not None else after if known(after) is None else before
    why = _short(reason(source))
    if ratio is not None:
        why = why.replace("not measured: ", "withheld: ", 1)
    return f"{said(report, name).label}: {why}.".replace("..", ".")


def _short(why: str) -> str:
    """A reason as long as a sentence may be; the limits have the whole of it."""
    line = (why.splitlines() or [""])[0]
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"


def _many(report: Report) -> tuple[str, str]:
    base, others = report.subjects[0], report.subjects[1:]
    parts = [f"{len(others)} models against {base.name}"]
    size = first_figure(report, "size")
    ratios = [known(figure_ratio(report, s, size)) for s in others] if size else []
    if size and (there := [r for r in ratios if r is not None]):
        label = said(report, size).label.lower()
        parts.append(f"{label} {_range([formats.change(r) for r in (max(there), min(there))])}")
    quality = first_figure(report, "quality")
    found = [(s, v) for s in others if quality and (v := known(s.figure(quality))) is not None]
    if quality and found:
        shape, first = _unit(report, quality), known(base.figure(quality))
        values = sorted(v for _, v in found)
        shown = _range([formats.quantity(v, shape) for v in (values[0], values[-1])])
        instead = "" if first is None else f" (the original: {formats.quantity(first, shape)})"
        parts.append(f"{said(report, quality).label.lower()} {shown}{instead}")
    text = f"{parts[0]}: {', '.join(parts[1:])}." if len(parts) > 1 else f"{parts[0]}: nothing could be compared."
    lacking = [s.name for s in others if quality and known(s.figure(quality)) is None]
    return text, f"Not measured for {formats.listing(lacking)}." if lacking and found else ""


def _range(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _spoken(label: str) -> str:
    """A label inside a sentence: `likeness of features`, and `CKA` as it is."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
