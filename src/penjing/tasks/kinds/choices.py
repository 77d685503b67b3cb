"""`FILE.jsonl`: questions of one's own, each with its "choices" and the "answer"."""

from collections.abc import Sequence
from pathlib import Path

from penjing.data.items import read_choices
from penjing.tasks.choices import MultipleChoice
from penjing.tasks.kind import Asked, Kind, named
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the file.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    items = tuple(read_choices(data))
    return [MultipleChoice(name=named(data), items=items, limit=asked.limit, shots=asked.shots, seed=asked.seed)]


def bare(path: Path) -> bool:
    """Whether a file without a kind's name before it holds such questions."""
    return path.suffix == ".jsonl" and not path.is_dir()


KIND = Kind(read=read, better="higher", bare=bare)
