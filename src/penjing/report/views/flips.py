"""A few items on which the models disagree: what was right before and is wrong after, and the other way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core import Report
from penjing.report.build import names
from penjing.report.facts import said
from penjing.report.views.lines import Mark, marks

LOST, WON = 6, 3
"""How many items of each sort are shown for a figure."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item: whether each model had it right, None where it was not asked."""

    id: str
    right: tuple[bool | None, ...]


@dataclass(frozen=True, kw_only=True)
class Flips:
    """The sample of one figure: `lost` and `won` of how many in all."""

    name: str
    label: str
    models: tuple[Mark, ...]
    lost: tuple[Item, ...]
    won: tuple[Item, ...]
    all_lost: int
    all_won: int


def flips(report: Report) -> list[Flips]:
    """One sample per figure whose items have `id` and `correct` for the original and another model.

    An item is lost when the original has it right and at least half of the others wrong; won the other way round.
    The items lost by most come first.
    """
    if len(report.subjects) < 2:
        return []
    return [f for name in names(report) if (f := _flips(report, name)) is not None]


def _flips(report: Report, name: str) -> Flips | None:
    found = [(m, _right(f.items)) for m, s in zip(marks(report), report.subjects, strict=True) if (f := s.figure(name))]
    found = [(m, right) for m, right in found if right]
    if len(found) < 2 or found[0][0].number != 0:
        return None
    base, others = found[0][1], [right for _, right in found[1:]]
    lost, won = [], []
    for item, before in base.items():
        after = [right[item] for right in others if item in right]
        changed = sum(a != before for a in after)
        if after and 2 * changed >= len(after):
            (lost if before else won).append((-changed, item))
    pick = [
        tuple(Item(id=i, right=tuple(r.get(i) for _, r in found)) for _, i in sorted(chosen, key=lambda p: p[0])[:most])
        for chosen, most in ((lost, LOST), (won, WON))
    ]
    if not lost and not won:
        return None
    models = tuple(m for m, _ in found)
    label = said(report, name).label
    return Flips(
        name=name, label=label, models=models, lost=pick[0], won=pick[1], all_lost=len(lost), all_won=len(won)
    )


def _right(items: Mapping[str, Sequence[Any]]) -> dict[str, bool]:
    """Id -> right, for items that say 0 or 1."""
    ids, correct = items.get("id"), items.get("correct")
    if ids is None or correct is None:
        return {}
    return {str(i): bool(c) for i, c in zip(ids, correct, strict=False) if c in (0, 1)}
