"""`openbookqa:FILE.jsonl`: elementary science facts put to use, with several choices.

Source: the authors' published records; template and metrics are lm-evaluation-harness's.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.benchmarks import labelled
from penjing.data.items import ChoiceItem, unique
from penjing.data.jsonl import records
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Style, after, texts
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "OpenBookQA"


def items(path: str | Path) -> list[ChoiceItem]:
    """Records of "question_stem" (or "question" with a "stem"), "choices" and "answerKey".

    Raises:
        DataError: a line does not hold that; the line is named.
    """
    return unique((labelled(r, "question_stem"), r) for r in records(path))


STYLE = Style(
    name="openbookqa", pairs=after(lambda item: item.question), lengths=texts, metrics=("acc_norm", "acc")
)
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `openbookqa`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [benchmark("openbookqa", items(data), STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE)
