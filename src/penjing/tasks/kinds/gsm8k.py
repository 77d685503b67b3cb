"""`gsm8k:FILE.jsonl`: sums in words, solved step by step; 5 solved examples before each unless others are asked for.

Source: Cobbe et al., 2021, arXiv:2110.14168; template, stops and both patterns are lm-evaluation-harness's. Its
examples are drawn anew for each question, as here, but by another generator.
"""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.items import ExactItem, identifier, unique
from penjing.data.jsonl import Record, brief, records
from penjing.tasks.generation import ExactMatch
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

TITLE = "GSM8K"
STOPS = ("Question:", "</s>", "<|im_end|>")
SHOTS = 5


def items(path: str | Path) -> list[ExactItem]:
    """Records of "question" and "answer", whose number after `####` is the target; all of it is the "solution".

    Raises:
        DataError: a line does not hold that, or its answer has no `####`; the line is named.
    """
    return unique((_item(r), r) for r in records(path))


def _item(r: Record) -> ExactItem:
    answer = r.text("answer")
    _, mark, number = answer.rpartition("#### ")
    if not mark or not number.strip():
        raise r.wrong(f"an answer without a number, {brief(answer)}", "reasoning that ends in '#### ' and a number")
    return ExactItem(id=identifier(r), prompt=r.text("question"), targets=(number.strip(),), extra={"solution": answer})


def gsm8k(
    found: Sequence[ExactItem],
    *,
    examples: Sequence[ExactItem] = (),
    shots: int = SHOTS,
    limit: int | None = None,
    name: str = "gsm8k",
) -> ExactMatch:
    """The task as published: strict match as the main figure and flexible as the second."""
    return ExactMatch(
        name=name, label=TITLE, items=tuple(found), examples=tuple(examples), readings=("strict", "flexible"),
        before="Question: ", after="\nAnswer:", shots=shots, stops=STOPS, limit=limit,
    )  # fmt: skip


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, `gsm8k`.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [gsm8k(items(data), limit=asked.limit, shots=asked.shots or SHOTS)]


KIND = Kind(read=read, better="higher", title=TITLE)
