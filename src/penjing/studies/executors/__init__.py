"""One file per way to carry out tasks: in this process, in several, on a cluster. The folder is the registry.

A file defines `Executor`, a dataclass of its settings with `run(tasks)`, which yields each task with what became of it,
in any order. A task that is lost with its process or machine is carried out again, `attempts` times at most.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from penjing.core.registry import Registry

if TYPE_CHECKING:
    from penjing.studies.task import Outcome, Task


class Executes(Protocol):
    """What carries tasks out."""

    def run(self, tasks: "Sequence[Task]") -> "Iterator[tuple[Task, list[Outcome]]]":
        """Each task with the outcomes of its runs, as soon as it is done."""
        ...


EXECUTORS: Registry[Executes] = Registry(
    "penjing.studies.executors", kind="executor", attribute="Executor", calls=("run",)
)
"""Every executor, by name; other packages add theirs through the entry-point group `penjing.studies.executors`."""
