"""`arc:FILE.jsonl`: grade-school science with several choices.

Source: AI2's published records; template and metrics are lm-evaluation-harness's.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.benchmarks import labelled
from penjing.data.items import ChoiceItem, unique
from penjing.data.jsonl import records
from penjing.tasks.choices.multiple import benchmark
from penjing.tasks.choices.styles import Style, after, asked_as_question, texts
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "ARC"


def items(path: str | Path) -> list[ChoiceItem]:
    """Records of "question", "choices" (text and label lists, or a list of objects) and "answerKey".

    Raises:
        DataError: a line does not hold that; the line is named.
    """
    return unique((labelled(r, "question"), r) for r in records(path))


STYLE = Style(name="arc", pairs=after(asked_as_question), lengths=texts)
"""How a question is written."""


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `arc`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [benchmark("arc", items(data), STYLE, asked, title=TITLE)]


KIND = Kind(read=read, better="higher", title=TITLE)
