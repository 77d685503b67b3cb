"""The same prompts as every model goes on with them; what differs from the original's words is marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from penjing.core import Report
from penjing.report.views.lines import Mark, marks


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one model said: its text in pieces, each with whether it differs from the original's."""

    mark: Mark
    pieces: tuple[tuple[str, bool], ...]
    same: bool


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt and what each model said, the original first."""

    text: str
    said: tuple[Said, ...]


def answers(report: Report) -> list[Prompt]:
    """The prompts of a report; empty when it has none."""
    found = report.provenance.get("answers")
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [p for one in found if isinstance(one, Mapping) and (p := _prompt(report, one)) is not None]


def _prompt(report: Report, one: Mapping[str, Any]) -> Prompt | None:
    told = one.get("answers")
    if not isinstance(told, Mapping):
        return None
    every = [(mark, str(told[mark.name])) for mark in marks(report) if mark.name in told]
    if not every:
        return None
    first = every[0][1]
    said = tuple(
        Said(mark=mark, pieces=_pieces(first, text) if i else ((text, False),), same=i > 0 and text == first)
        for i, (mark, text) in enumerate(every)
    )
    return Prompt(text=str(one.get("prompt", "")), said=said)


def _pieces(first: str, text: str) -> tuple[tuple[str, bool], ...]:
    """The text, cut where it begins or ceases to differ, in whole words."""
    ours, theirs = _words(text), _words(first)
    matched = SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks()
    pieces: list[tuple[str, bool]] = []
    at = 0
    for block in matched:
        pieces.append(("".join(ours[at : block.b]), True))
        pieces.append(("".join(ours[block.b : block.b + block.size]), False))
        at = block.b + block.size
    return tuple((piece, other) for piece, other in pieces if piece)


def _words(text: str) -> list[str]:
    """Words with the space before them, so that they join to the text."""
    return [word if i == 0 else f" {word}" for i, word in enumerate(text.split(" "))]
