"""The reports of several runs as one: the original once, every result beside it, and what does not compare said."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from penjing.core import Measurement, Report, Subject
from penjing.report import formats
from penjing.report.build import ratio_name
from penjing.report.figures import kind

Named = tuple[str, Report]


def merged(runs: Sequence[Named]) -> Report:
    """One report of the subjects of several (run's name, report), in their order.

    The first subject of the first run is the original. Other runs' originals of the same source are left out, but give
    it the figures it lacks. Names that two runs share get their run's name behind them.
    """
    kept = [(name, report) for name, report in runs if report.subjects]
    if not kept:
        return Report(title="Runs without figures", subjects=(), notes=("none of these runs' reports has a model",))
    base = _base(kept)
    subjects: list[Subject] = [base]
    ratios: list[Measurement] = []
    homes: dict[str, str] = {base.name: kept[0][0]}
    originals = {base.source}
    for position, (run, report) in enumerate(kept):
        fresh = _fresh(report, originals, begun=position > 0)
        called = _renamed(fresh, run, set(homes))
        subjects += [replace(s, name=name) for s, name in zip(fresh, called, strict=True)]
        homes.update(dict.fromkeys(called, run))
        originals.add(report.subjects[0].source)
        if position == 0 or _same(report.subjects[0], base):
            ratios += _carried(report, dict(zip((s.name for s in fresh), called, strict=True)))
    ratios += _untimed(base, subjects[1:], ratios, homes)
    return Report(
        title=f"{formats.listing([name for name, _ in kept])}, compared"[:300],
        subjects=tuple(subjects),
        ratios=tuple(ratios),
        notes=tuple(dict.fromkeys([*_unlike(subjects), *_strangers(kept, base), *_told(kept)])),
        provenance=_provenance(kept),
    )


def _base(kept: Sequence[Named]) -> Subject:
    """The original, with figures that only other runs took of it."""
    base = kept[0][1].subjects[0]
    for _, report in kept[1:]:
        for subject in report.subjects:
            if _same(subject, base):
                lacking = tuple(f for f in subject.figures if base.figure(f.name) is None)
                base = replace(base, figures=base.figures + lacking, widths=base.widths or subject.widths)
    return base


def _fresh(report: Report, originals: set[str], *, begun: bool) -> list[Subject]:
    """The subjects that are not there yet: all but originals that an earlier run (or this one) has given."""
    first, *others = report.subjects
    given = not begun or (first.source and first.source in originals)
    return [*([] if given else [first]), *others]


def _same(subject: Subject, base: Subject) -> bool:
    return bool(subject.source) and subject.source == base.source


def _renamed(fresh: Sequence[Subject], run: str, taken: set[str]) -> list[str]:
    """The names in the merged report, each once."""
    used, out = set(taken), []
    for subject in fresh:
        name, count = subject.name, 2
        if name in used:
            name = f"{subject.name} ({run})"
        while name in used:
            name, count = f"{subject.name} ({run}, {count})", count + 1
        used.add(name)
        out.append(name)
    return out


def _carried(report: Report, called: dict[str, str]) -> list[Measurement]:
    """A run's ratios to the same original, each with the name of its subject."""
    first = report.subjects[:2][-1].name
    out = []
    for ratio in report.ratios:
        subject = called.get(str(ratio.details.get("subject", first)))
        if subject is not None:
            out.append(replace(ratio, details={**ratio.details, "subject": subject}))
    return out


def _untimed(
    base: Subject, others: Sequence[Subject], ratios: Sequence[Measurement], homes: dict[str, str]
) -> list[Measurement]:
    """A withheld ratio for each time that was taken in another run than the original's: no quotient is drawn."""
    there = {(str(r.details.get("subject")), ratio_name(r)) for r in ratios}
    return [
        Measurement(
            name=f"{figure.name}_ratio",
            value=None,
            unit="ratio",
            note="taken in different runs; times compare only when taken in turn on one machine",
            details={"subject": subject.name, "figure": figure.name},
        )
        for subject in others
        for figure in subject.figures
        if figure.group == "time"
        and base.figure(figure.name) is not None
        and homes[subject.name] != homes[base.name]
        and (subject.name, figure.name) not in there
    ]


def _unlike(subjects: Sequence[Subject]) -> list[str]:
    """A note per figure that was not taken by one protocol throughout."""
    protocols: dict[str, set[str]] = {}
    labels: dict[str, str] = {}
    for figure in (f for s in subjects for f in s.figures if f.value is not None and f.protocol):
        if figure.group != "size":
            protocols.setdefault(figure.name, set()).add(figure.protocol)
            labels.setdefault(figure.name, kind(figure).label)
    return [
        f"{labels[name]} was taken by {len(found)} protocols in these runs; only figures of one protocol compare"
        for name, found in protocols.items()
        if len(found) > 1
    ]


def _strangers(kept: Sequence[Named], base: Subject) -> list[str]:
    names = [name for name, report in kept[1:] if not _same(report.subjects[0], base)]
    if not names:
        return []
    return [
        f"{formats.listing(names)}: made from another original than {base.name}; changes are shown against that one"
    ]


def _told(kept: Sequence[Named]) -> list[str]:
    return [note for _, report in kept for note in report.notes]


def _provenance(kept: Sequence[Named]) -> dict[str, Any]:
    """What each run was, one line a run; what all agree on stands once."""
    first = kept[0][1].provenance
    shared = {k: v for k, v in first.items() if all(r.provenance.get(k) == v for _, r in kept) and k != "load"}
    each = {
        f"run {name}": {k: report.provenance[k] for k in ("method", "budget", "command") if k in report.provenance}
        for name, report in kept
    }
    return {**shared, **{k: v for k, v in each.items() if v}}
