"""In several processes of this machine, one torch thread each; one that dies is replaced."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from penjing.errors import RequestError
from penjing.studies.task import Outcome, Task, lost, perform


@dataclass(frozen=True, kw_only=True)
class Executor:
    """So many `workers` (0: one for each core), each `attempts` times at a task that a worker died over."""

    workers: int = 0
    attempts: int = 3

    def __post_init__(self) -> None:
        if self.workers < 0 or self.attempts < 1:
            found = f"found workers {self.workers} and attempts {self.attempts}"
            raise RequestError(f"{found}; needed 0 or more, and 1 or more")

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, list[Outcome]]]:
        """The tasks as they are done; what a dead worker had in hand goes to the next one."""
        waiting, tried = deque(enumerate(tasks)), dict.fromkeys(range(len(tasks)), 0)
        workers = [_Worker() for _ in range(min(self.workers or os.cpu_count() or 1, len(tasks)))]
        try:
            while waiting or any(w.at is not None for w in workers):
                for i, worker in enumerate(workers):
                    if not worker.alive:  # it died before it got anything
                        workers[i] = worker = worker.again()
                    if worker.at is None and waiting:
                        worker.give(*waiting.popleft())
                for worker in _ready(workers):
                    place = worker.at
                    assert place is not None  # noqa: S101 - only those with a task are waited for
                    found = worker.take()
                    if found is None:
                        tried[place] += 1
                        workers[workers.index(worker)] = worker.again()
                        if tried[place] < self.attempts:
                            waiting.appendleft((place, tasks[place]))
                            continue
                        found = lost(tasks[place], f"its process died {tried[place]} times; see the system's log")
                    yield tasks[place], found
        finally:
            for worker in workers:
                worker.stop()


def _ready(workers: "list[_Worker]") -> "list[_Worker]":
    busy = {w.end: w for w in workers if w.at is not None}
    return [busy[end] for end in wait(list(busy))]  # type: ignore[index]


class _Worker:
    """A process with one end of a pipe; `at` is the place of the task that it has in hand."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.end, theirs = context.Pipe()
        self.at: int | None = None
        self._process: SpawnProcess = context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def give(self, place: int, task: Task) -> None:
        self.at = place
        try:
            self.end.send(task)
        except OSError:
            return  # it is dead: reading from it will say so

    def take(self) -> list[Outcome] | None:
        """What it found, or None if it died."""
        self.at = None
        try:
            found = self.end.recv()
        except (EOFError, OSError):
            return None
        if isinstance(found, BaseException):
            raise found
        return found

    def again(self) -> "_Worker":
        self.stop()
        return _Worker()

    def stop(self) -> None:
        self.end.close()
        self._process.kill()
        self._process.join()


def serve(end: Connection) -> None:
    """Carry out what comes, until the other end is closed or its process is gone."""
    import torch

    torch.set_num_threads(1)
    above = multiprocessing.parent_process()
    if above is not None:
        threading.Thread(target=_leave_with, args=(above,), daemon=True).start()
    while True:
        try:
            task = end.recv()
        except EOFError:
            return
        try:
            end.send(perform(task))
        except Exception as error:
            end.send(_carried(error))


def _leave_with(above: Any) -> None:
    above.join()
    os._exit(1)


def _carried(error: Exception) -> Exception:
    """The error if it can be sent, else what it says."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
