"""`boolq:FILE.jsonl`: yes or no, of a passage.

Source: the authors' and SuperGLUE's published records; template and metrics are lm-evaluation-harness's.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.benchmarks import numbered
from penjing.data.items import AnyChoice, ChoiceItem, identifier, unique
from penjing.data.jsonl import Record, records
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Style, after, texts
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "BoolQ"


def items(path: str | Path) -> list[ChoiceItem]:
    """Records of "passage", "question" and "answer" (true or false), or SuperGLUE's "label" (also 0 or 1).

    The choices are no and yes, in that order.

    Raises:
        DataError: a line does not hold that; the line is named.
    """
    return unique((_item(r), r) for r in records(path))


def _item(r: Record) -> ChoiceItem:
    key = "answer" if "answer" in r.fields else "label"
    value = r.fields.get(key)
    answer = int(value) if isinstance(value, bool) else numbered(r, key, 2)
    name, context = identifier(r, "idx"), r.text("passage")
    return ChoiceItem(id=name, question=r.text("question"), choices=("no", "yes"), answer=answer, context=context)


def _asked(item: AnyChoice) -> str:
    return f"{item.context}\nQuestion: {item.question}?\nAnswer:"


STYLE = Style(name="boolq", pairs=after(_asked), lengths=texts, metrics=("acc",))
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `boolq`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [benchmark("boolq", items(data), STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE)
