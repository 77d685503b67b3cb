"""The same prompts, pictures and recordings for every model; what differs from the original's answers is marked."""

import re
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
    right: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt, picture or recording and what each model said, the original first. `image` is a PNG's data URI."""

    text: str
    said: tuple[Said, ...]
    of: str = "prompts"
    image: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """All that was asked of one kind; `told` says how it was chosen."""

    of: str
    told: str
    prompts: tuple[Prompt, ...]


TOLD = {
    "prompts": "Each model goes on with its most likely tokens; words that the original does not say there are marked. "
    "A few prompts show how a model speaks; the figures say how good it is.",
    "images": "What each model takes for the likeliest class; one that the original does not name is marked.",
    "recordings": "What is said in each, and what each model writes down; words that the original does not write are "
    "marked. Case and punctuation do not count.",
}
"""What was asked of -> what is said of it."""
IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+=*")


def answers(report: Report) -> list[Prompt]:
    """The prompts, pictures and recordings of a report; empty when it has none."""
    found = report.provenance.get("answers")
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [p for one in found if isinstance(one, Mapping) and (p := _prompt(report, one)) is not None]


def asked(report: Report) -> list[Asked]:
    """What was asked, by its kind."""
    every = answers(report)
    groups = {of: tuple(p for p in every if p.of == of) for of in TOLD}
    return [Asked(of=of, told=f"{_chosen(report, of)}{TOLD[of]}", prompts=p) for of, p in groups.items() if p]


def _chosen(report: Report, of: str) -> str:
    """How many of all differ, of what is shown."""
    rows = [r for r in report.provenance["answers"] if isinstance(r, Mapping) and r.get("of") == of]
    tasks = {r.get("task"): r for r in rows if isinstance(r.get("differs"), int) and isinstance(r.get("items"), int)}
    return "".join(
        f"Of the {r['items']} {of} of {name}, {r['differs']} are answered in different ways; the first of these come "
        "first. " for name, r in tasks.items()
    )  # fmt: skip


def _prompt(report: Report, one: Mapping[str, Any]) -> Prompt | None:
    told = one.get("answers")
    if not isinstance(told, Mapping):
        return None
    every = [(mark, str(told[mark.name])) for mark in marks(report) if mark.name in told]
    if not every:
        return None
    first = every[0][1]
    known = one.get("right")
    right: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    said = tuple(
        Said(
            mark=mark, pieces=_pieces(first, text) if i else ((text, False),), same=i > 0 and text == first,
            right=right.get(mark.name) if isinstance(right.get(mark.name), bool) else None,
        )
        for i, (mark, text) in enumerate(every)
    )  # fmt: skip
    image = one.get("image")
    of = one.get("of")
    return Prompt(
        text=str(one.get("prompt", "")), said=said, of=of if of in TOLD else "prompts",
        image=image if isinstance(image, str) and IMAGE.fullmatch(image) else "",
    )  # fmt: skip


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
