"""`hellaswag:FILE.jsonl`: which of four endings a scene of everyday life has.

Source: the authors' published records; template and metrics are lm-evaluation-harness's.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from penjing.data.benchmarks import numbered
from penjing.data.items import AnyChoice, ChoiceItem, identifier, unique
from penjing.data.jsonl import Record, records
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Pair, Style
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "HellaSwag"


def items(path: str | Path) -> list[ChoiceItem]:
    """Records of "activity_label", "ctx_a", "ctx_b", "endings" and "label" (0 to 3, as a number or a string).

    Raises:
        DataError: a line does not hold that; the line is named.
    """
    return unique((_item(r), r) for r in records(path))


def _item(r: Record) -> ChoiceItem:
    endings = r.texts(r.fields.get("endings"), "endings", least=2)
    question = r.text("ctx_a") + " " + r.text("ctx_b").capitalize()
    answer = numbered(r, "label", len(endings))
    return ChoiceItem(
        id=identifier(r, "ind"), question=question, choices=endings, answer=answer, context=r.text("activity_label")
    )


def clean(text: str) -> str:
    """The text without WikiHow's marks: `[title]` ends a sentence, other brackets go, double spaces become one.

    >>> clean(" Make tea [title] Boil [step] water. ")
    'Make tea. Boil water.'
    """
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def _pairs(item: AnyChoice) -> list[Pair]:
    context = clean(f"{item.context}: {item.question}")
    return [(context, f" {choice}") for choice in _endings(item)]


def _endings(item: AnyChoice) -> tuple[str, ...]:
    return tuple(map(clean, item.choices))


STYLE = Style(name="hellaswag", pairs=_pairs, lengths=_endings, metrics=("acc_norm", "acc"))
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `hellaswag`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [benchmark("hellaswag", items(data), STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE)
