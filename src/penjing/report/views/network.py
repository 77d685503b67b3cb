"""Blocks that were dropped, and shares of weights that are zero, for the picture of the network."""

from dataclasses import dataclass

from penjing.core import Measurement, Report, Subject
from penjing.report import formats
from penjing.report.views.lines import Mark, finite, marks

DEPTH = ("depth", "blocks", "layers")
SPARSITY = ("sparsity", "zeros", "share_of_zeros")
MOST = 400
"""The deepest network whose blocks are drawn one by one."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One model's blocks in order: True where kept, False where dropped."""

    mark: Mark
    kept: tuple[bool, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class Zeros:
    """One model's share of zeros, whole and by place (a block or a tensor): places in per cent."""

    mark: Mark
    text: str
    shares: tuple[tuple[str, float], ...]


def depths(report: Report) -> list[Depth]:
    """The blocks of each model but the original, where some were dropped and it is known which.

    A figure `depth` with `details["dropped"]` (numbers of blocks) tells; else blocks that have no axis any more.
    """
    if not report.subjects:
        return []
    whole = _blocks(report.subjects[0])
    out = []
    for mark, subject in zip(marks(report)[1:], report.subjects[1:], strict=True):
        gone = _dropped(subject)
        if gone is None and whole and (left := _blocks(subject)):
            gone = whole - left if left < whole else None
        count = max([*whole, *(gone or ()), -1]) + 1
        if gone and 0 < count <= MOST:
            kept = tuple(i not in gone for i in range(count))
            told = formats.listing([str(i) for i in sorted(gone)[:12]]) + (" \u2026" if len(gone) > 12 else "")
            text = f"{sum(kept)} of {count} blocks kept; dropped: {told}"
            out.append(Depth(mark=mark, kept=kept, text=text))
    return out


def _blocks(subject: Subject) -> set[int]:
    """The block numbers that axes of the subject bear, when there are two or more."""
    found = {int(tail) for axis in subject.widths if (tail := axis.rpartition(".")[2]).isdecimal() and len(tail) < 5}
    return found if len(found) > 1 else set()


def _dropped(subject: Subject) -> set[int] | None:
    for figure in _figures(subject, DEPTH):
        listed = figure.details.get("dropped")
        if isinstance(listed, list | tuple):
            return {i for i in listed if isinstance(i, int) and not isinstance(i, bool) and i >= 0}
    return None


def zeros(report: Report) -> list[Zeros]:
    """The share of zeros of each model that has the figure `sparsity`; `details["places"]` names shares by place."""
    out = []
    for mark, subject in zip(marks(report), report.subjects, strict=True):
        for figure in _figures(subject, SPARSITY):
            value = finite(figure.value)
            if value is not None and (value > 0 or mark.number):
                given = [figure.details.get(k) for k in ("places", "blocks", "tensors")]
                places = next((p for p in given if isinstance(p, dict)), {})
                shares = [(str(k), finite(v)) for k, v in places.items()]
                bars = tuple((k, round(100 * min(1.0, max(0.0, v)), 2)) for k, v in shares[:MOST] if v is not None)
                out.append(Zeros(mark=mark, text=formats.quantity(value, "fraction"), shares=bars))
    return out


def _figures(subject: Subject, known: tuple[str, ...]) -> list[Measurement]:
    return [f for name in known if (f := subject.figure(name)) is not None]
