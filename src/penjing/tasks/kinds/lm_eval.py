"""`lm-eval:NAME`: a task of lm-evaluation-harness (or its YAML file), when that is installed."""

from collections.abc import Sequence

from penjing.tasks.kind import Asked, Kind, named
from penjing.tasks.kinds import TASKS
from penjing.tasks.lm_eval import HarnessTask
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, with the harness's own name."""
    name = named(data)
    return [HarnessTask(name=name, task=data, limit=asked.limit, shots=asked.shots or None, label=titled(name))]


def titled(name: str) -> str:
    """The harness's name with the words that are kinds of tasks here as their makers write them; empty without any."""
    known = set(TASKS.names())
    titles = {word: TASKS.load(word).KIND.title for word in name.split("_") if word in known}
    label = " ".join(titles.get(word) or word for word in name.split("_"))
    return label[:1].upper() + label[1:] if any(titles.values()) else ""


KIND = Kind(read=read, better="", moved=lambda data, at: data)
