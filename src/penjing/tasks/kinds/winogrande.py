"""`winogrande:FILE.jsonl`: who or what a blank in a sentence stands for.

Source: the authors' published records; template and metrics are lm-evaluation-harness's. Partial scoring: each option
stands in the blank, and the same rest of the sentence is scored after it.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.items import AnyChoice, ChoiceItem, identifier, place_of, unique
from penjing.data.jsonl import Record, brief, records
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Pair, Style, texts
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "WinoGrande"


def items(path: str | Path) -> list[ChoiceItem]:
    """Records of "sentence" with one blank `_`, "option1", "option2" and "answer" (1 or 2).

    Raises:
        DataError: a line does not hold that; the line is named.
    """
    return unique((_item(r), r) for r in records(path))


def _item(r: Record) -> ChoiceItem:
    sentence = r.text("sentence")
    if "_" not in sentence:
        raise r.wrong(f"a sentence without a blank, {brief(sentence)}", "one with '_' where the option goes")
    answer = place_of(r, str(r.fields.get("answer")), 2, labels=("1", "2"))
    return ChoiceItem(
        id=identifier(r, "qID"), question=sentence, choices=(r.text("option1"), r.text("option2")), answer=answer
    )


def _pairs(item: AnyChoice) -> list[Pair]:
    before, _, rest = item.question.partition("_")
    return [(before + option, f" {rest.strip()}") for option in item.choices]


STYLE = Style(name="winogrande", pairs=_pairs, lengths=texts, metrics=("acc",))
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `winogrande`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [benchmark("winogrande", items(data), STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE)
