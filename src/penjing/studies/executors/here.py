"""In this process, one task after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penjing.studies.task import Outcome, Task, perform


@dataclass(frozen=True, kw_only=True)
class Executor:
    """No settings."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, list[Outcome]]]:
        """Each task in turn."""
        for task in tasks:
            yield task, perform(task)
