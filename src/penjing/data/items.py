"""Questions with their answers as plain frozen items, and the reader of one's own JSONL files."""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from penjing.data.jsonl import Record, brief, records
from penjing.errors import DataError

LETTERS = string.ascii_uppercase


@dataclass(frozen=True, kw_only=True)
class ChoiceItem:
    """A question with several choices of which one is right: `answer` is its place, from 0.

    `context` is what the question is about (a passage, a topic). `extra` holds what a template may want besides;
    its "group" (a subject, a subtask) is what averages over groups go by.
    """

    id: str
    question: str
    choices: tuple[str, ...]
    answer: int
    context: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> tuple[float, ...]:
        """What each choice earns: 1 for the right one, 0 for the others."""
        return tuple(float(i == self.answer) for i in range(len(self.choices)))


@dataclass(frozen=True, kw_only=True)
class ScoredItem:
    """A question of whose choices several may be true: `scores` says what each earns, from 0 to 1."""

    id: str
    question: str
    choices: tuple[str, ...]
    scores: tuple[float, ...]
    context: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExactItem:
    """A prompt whose continuation is read off and compared: any of `targets` is right."""

    id: str
    prompt: str
    targets: tuple[str, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


AnyChoice = ChoiceItem | ScoredItem
Item = TypeVar("Item", bound=ChoiceItem | ScoredItem | ExactItem)


def read_choices(path: str | Path) -> list[ChoiceItem | ScoredItem]:
    """Multiple-choice questions from a `.jsonl` file, one object a line.

    Keys: "question", "choices" (two or more strings) and "answer" (place from 0, or a letter from A); or "scores"
    (a number from 0 to 1 per choice) in place of "answer". Optional: "id", "context"; any other key goes to `extra`.

    Raises:
        DataError: a line is malformed, has no choices, or its answer is outside them; the line is named.
    """
    return unique((_choice(r), r) for r in records(path))


def _choice(r: Record) -> ChoiceItem | ScoredItem:
    if "choices" not in r.fields:
        raise r.wrong("no 'choices'", "a list of two or more strings")
    choices = r.texts(r.fields["choices"], "choices", least=2)
    known = {"id", "question", "choices", "answer", "scores", "context"}
    extra = {k: v for k, v in r.fields.items() if k not in known}
    question, context, name = r.text("question"), r.text("context", ""), identifier(r)
    if "scores" in r.fields and "answer" in r.fields:
        raise r.wrong("both 'answer' and 'scores'", "one of them")
    if "scores" in r.fields:
        scores = scores_of(r, r.fields["scores"], choices)
        return ScoredItem(id=name, question=question, choices=choices, scores=scores, context=context, extra=extra)
    if "answer" not in r.fields:
        raise r.wrong("no 'answer'", "the place of the right choice, from 0, or its letter")
    answer = place_of(r, r.fields["answer"], len(choices))
    return ChoiceItem(id=name, question=question, choices=choices, answer=answer, context=context, extra=extra)


def read_exact(path: str | Path) -> list[ExactItem]:
    """Prompts with their right replies from a `.jsonl` file, one object a line.

    Keys: "prompt", and "target" (a string) or "targets" (strings, each of them right). Optional: "id"; any other key
    goes to `extra`.

    Raises:
        DataError: a line is malformed or has no target; the line is named.
    """
    return unique((_exact(r), r) for r in records(path))


def _exact(r: Record) -> ExactItem:
    given = r.fields.get("targets", r.fields.get("target"))
    targets = r.texts([given] if isinstance(given, str) else given, "targets")
    extra = {k: v for k, v in r.fields.items() if k not in {"id", "prompt", "target", "targets"}}
    return ExactItem(id=identifier(r), prompt=r.text("prompt"), targets=targets, extra=extra)


def identifier(r: Record, *keys: str) -> str:
    """The record's own id, or its place in the file.

    Raises:
        DataError: it is neither a string nor a whole number.
    """
    for key in (*keys, "id"):
        value = r.fields.get(key)
        if value is None:
            continue
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return r.as_text(str(value), key)
        raise r.wrong(f"{brief(value)} as '{key}'", "a string or a whole number")
    return r.place.rpartition(" ")[2]


def place_of(r: Record, answer: Any, count: int, *, labels: Sequence[str] = LETTERS) -> int:
    """The place, from 0, that an answer means: a whole number, or one of the choices' `labels`.

    Raises:
        DataError: it means none of the `count` choices.
    """
    place = -1
    if isinstance(answer, int) and not isinstance(answer, bool):
        place = answer
    elif isinstance(answer, str) and answer.strip() in tuple(labels):
        place = list(labels).index(answer.strip())
    if not 0 <= place < count:
        letters = f"{labels[0]} to {labels[min(count, len(labels)) - 1]}"
        raise r.wrong(f"the answer {brief(answer)}", f"one of {count} choices: 0 to {count - 1}, or {letters}")
    return place


def scores_of(r: Record, value: Any, choices: Sequence[str]) -> tuple[float, ...]:
    """One score from 0 to 1 per choice, at least one above 0.

    Raises:
        DataError: they are not that.
    """
    if not isinstance(value, list) or len(value) != len(choices):
        found = f"{len(value)} scores" if isinstance(value, list) else f"{brief(value)} as scores"
        raise r.wrong(found, f"a list of {len(choices)}, one per choice")
    scores = tuple(r.number(each, f"scores[{i}]") for i, each in enumerate(value))
    if min(scores) < 0 or max(scores) > 1 or max(scores) == 0:
        raise r.wrong(f"scores from {min(scores):g} to {max(scores):g}", "numbers from 0 to 1, at least one above 0")
    return scores


def unique(made: Iterable[tuple[Item, Record]]) -> list[Item]:
    """The items as a list, made sure that no two have the same id: paired tests go by it.

    Raises:
        DataError: two have.
    """
    seen: dict[str, str] = {}
    out = []
    for item, r in made:
        if item.id in seen:
            raise DataError(f"{r.where}: the id '{item.id}' is also that of {seen[item.id]}; give each its own")
        seen[item.id] = r.place
        out.append(item)
    return out
