"""How many steps fit into so many minutes: by the time that a few passes take, before the first step."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from penjing.core.progress import Progress
from penjing.io import write_whole, writing
from penjing.train.average import Average
from penjing.train.loop import autocast
from penjing.train.ranks import told_if_lost
from penjing.train.run import Run

REHEARSALS = 3


class Lesson(Protocol):
    """The loss of the batch at a place, and how to forget what was kept of a pass."""

    def __call__(self, place: int, /) -> Tensor:
        """[]: the loss."""
        ...

    def forget(self) -> None:
        """Do the next pass as if it were the first."""
        ...


def decide(
    run: Run, seconds: Callable[[], float], minutes: float, place: tuple[Path, str] | None, progress: Progress
) -> None:
    """Give the run the number of steps that fit into the minutes, by the `seconds` that one takes, or what was decided.

    `place` is the folder in which that is kept, and which run it is.

    Raises:
        OutputError: it cannot be kept.
    """
    path = place[0] / "decided.json" if place is not None and run.ranks.first else None
    known = 0
    if path is not None and place is not None and path.is_file():
        told = json.loads(path.read_text(encoding="utf-8"))
        known = int(told["steps"]) if told.get("identity") == place[1] else 0
    known = run.ranks.agree(known)
    if known:
        _set(run, known)
        return
    progress("timing a few passes", 0, 0)
    _set(run, run.ranks.agree(max(1, int(60 * minutes / seconds()))))
    if path is not None and place is not None:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({"identity": place[1], "steps": run.steps}).encode())


def _set(run: Run, steps: int) -> None:
    run.steps = steps
    run.average = Average(run.how, steps)


def seconds_of(run: Run, lesson: Lesson) -> float:
    """What a step takes, without the optimiser's own part, which is small; nothing of the run is changed."""
    buffers = {n: b.clone() for n, b in run.module.named_buffers()}
    state = torch.get_rng_state()
    took = []
    for _ in range(REHEARSALS):
        lesson.forget()
        began = time.monotonic()
        with autocast(run), told_if_lost(run.ranks):
            value = lesson(0)
            value.backward()
        took.append(time.monotonic() - began)
    lesson.forget()
    run.module.zero_grad()
    run.beside.zero_grad()
    with torch.no_grad():
        for name, buffer in run.module.named_buffers():
            buffer.copy_(buffers[name])
    torch.set_rng_state(state)
    return max(1e-6, min(took)) * run.pieces
