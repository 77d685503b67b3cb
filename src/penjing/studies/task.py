"""What an executor is given and gives back: plain data, so that it goes to another process or machine."""

import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.core.experiment import Figures, at
from penjing.errors import PenjingError
from penjing.experiments import EXPERIMENTS


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a study: a setting and a seed; `key` tells it from every other."""

    key: str
    setting: str
    values: Mapping[str, Any]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """Runs of one experiment that are carried out at a time; its places are taken from `folder`."""

    experiment: str
    folder: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run: its figures, or why it has none; the seconds it took, and where (host:process)."""

    key: str
    figures: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    where: str = ""


FAULTS = (PenjingError, RuntimeError, MemoryError)
"""What a run may end in: a refusal of ours, or torch's own, as of a network that memory does not hold."""


def perform(task: Task) -> list[Outcome]:
    """Carry out a task; a run that fails costs no other, and says why."""
    of = EXPERIMENTS.type_of(task.experiment)
    built = [at(EXPERIMENTS.build(task.experiment, run.values), Path(task.folder)) for run in task.runs]
    if len(built) > 1 and callable(getattr(of, "together", None)):
        began = time.monotonic()
        try:
            found = of.together([(one, run.seed) for one, run in zip(built, task.runs, strict=True)])
            took = (time.monotonic() - began) / len(built)
            return [_outcome(run, figures, took) for run, figures in zip(task.runs, found, strict=True)]
        except FAULTS:  # one of them may be at fault: each alone says which
            pass
    out = []
    for run, one in zip(task.runs, built, strict=True):
        began = time.monotonic()
        try:
            out.append(_outcome(run, one.run(run.seed), time.monotonic() - began))
        except FAULTS as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            out.append(Outcome(key=run.key, error=said, seconds=time.monotonic() - began, where=where()))
    return out


def where() -> str:
    """This machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def lost(task: Task, why: str) -> list[Outcome]:
    """The outcomes of a task that nobody came back from."""
    return [Outcome(key=run.key, error=why) for run in task.runs]


def _outcome(run: Run, figures: Figures, seconds: float) -> Outcome:
    plain = {name: _plain(value) for name, value in figures.items()}
    bad = [n for n, v in plain.items() if isinstance(v, float) and not math.isfinite(v)]
    error = f"{bad[0]} is {plain[bad[0]]}; lower the learning rate, or check the data" if bad else ""
    return Outcome(key=run.key, figures={} if error else plain, error=error, seconds=seconds, where=where())


def _plain(value: float | Sequence[float]) -> float | list[float]:
    return [float(v) for v in value] if isinstance(value, Sequence) else float(value)
