"""`exact:FILE.jsonl`: prompts whose greedy replies must be one of the targets."""

from collections.abc import Sequence

from penjing.data.items import read_exact
from penjing.tasks.generation import ExactMatch
from penjing.tasks.kind import Asked, Kind, named
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the file.

    Raises:
        DataError: the file cannot be read; file and line are named.
    """
    return [ExactMatch(name=named(data), items=tuple(read_exact(data)), limit=asked.limit)]


KIND = Kind(read=read, better="higher")
