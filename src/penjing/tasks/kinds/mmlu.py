"""`mmlu:FILE.jsonl`: exam questions of many subjects, with lettered choices.

Source: the authors' published records; template and metrics are lm-evaluation-harness's.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.items import LETTERS, AnyChoice, ChoiceItem, identifier, place_of, unique
from penjing.data.jsonl import Record, records
from penjing.errors import DataError
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Pair, Style
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "MMLU"


def items(path: str | Path) -> list[ChoiceItem]:
    """Records of "question", "choices", "answer" (0 to 3 or A to D) and "subject", which becomes the group.

    Raises:
        DataError: a line does not hold that; the line is named.
    """
    return unique((_item(r), r) for r in records(path))


def _item(r: Record) -> ChoiceItem:
    choices = r.texts(r.fields.get("choices"), "choices", least=2)
    subject, answer = r.text("subject", ""), place_of(r, r.fields.get("answer"), len(choices))
    extra = {"group": subject} if subject else {}
    return ChoiceItem(id=identifier(r), question=r.text("question"), choices=choices, answer=answer, extra=extra)


def _letters(item: AnyChoice) -> list[str]:
    if len(item.choices) > len(LETTERS):
        raise DataError(f"item {item.id} has {len(item.choices)} choices, the style has letters for {len(LETTERS)}")
    return list(LETTERS[: len(item.choices)])


def _pairs(item: AnyChoice) -> list[Pair]:
    letters = _letters(item)
    listed = "".join(f"\n{a}. {text}" for a, text in zip(letters, item.choices, strict=True))
    context = f"{item.question.strip()}{listed}\nAnswer:"
    return [(context, f" {a}") for a in letters]


def _header(item: AnyChoice) -> str:
    subject = " ".join(str(item.extra.get("group", "")).split("_"))
    about = f" about {subject}" if subject else ""
    return f"The following are multiple choice questions (with answers){about}.\n\n"


STYLE = Style(name="mmlu", pairs=_pairs, lengths=_letters, header=_header, metrics=("acc",), first_shots=True)
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `mmlu`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [benchmark("mmlu", items(data), STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE)
