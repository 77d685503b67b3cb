"""Tasks run over models, each result kept on disk as soon as it is there, and compared item by item."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from penjing.core import Measurement, Subject
from penjing.core.progress import Progress, silent
from penjing.data import require_disjoint
from penjing.errors import DataError, MeasureError
from penjing.evaluate.statistics import compare_figures, differences
from penjing.evaluate.sweep import Point, classes, classify, correlate, correlations
from penjing.io import open_checkpoint
from penjing.running.lending import Lender
from penjing.running.stock import tokenizer
from penjing.tasks.task import Examined, Task

FORMAT = "figures 2"
"""Rises when a kept result would lack something that figures have."""


def examine(
    folders: Sequence[Path], subjects: Sequence[Subject], tasks: Sequence[Task], *, cache: Path,
    lender: Lender | None = None, progress: Progress = silent,
) -> tuple[Subject, ...]:  # fmt: skip
    """The subjects with the figures of every task; a model is opened only if something is to do.

    It is had from the `lender`, which keeps it, or opened for its tasks alone. A result is kept in `cache` under the
    model's fingerprint and the task's key: a second run, or one after a kill, takes it from there. What a model cannot
    be measured on has no value and a note.

    Raises:
        CheckpointError: a folder cannot be read.
    """
    out = []
    for folder, subject in zip(folders, subjects, strict=True):
        with open_checkpoint(folder) as checkpoint:
            print_ = checkpoint.fingerprint
        figures: list[Measurement] = []
        with ExitStack() as stack:
            model = _loader(folder, subject.name, lender or stack.enter_context(Lender()), stack)
            for task in tasks:
                key = _digest(FORMAT, print_, type(task).__name__, task.name, task.key())
                place = cache / "battery" / f"{key}.json"
                figures += _kept(place) or _taken(task, place, model, progress)
        out.append(replace(subject, figures=(*subject.figures, *figures)))
    return tuple(out)


def paired(subjects: Sequence[Subject]) -> tuple[Measurement, ...]:
    """What every model but the first differs in from the first: one figure per figure, p corrected for their number."""
    base = subjects[0]
    out: list[Measurement] = []
    for other in subjects[1:]:
        out += differences(compare_figures(base, other), base=base.name, other=other.name)
    return tuple(out)


def swept(subjects: Sequence[Subject], *, size: str = "parameters") -> tuple[Measurement, ...]:
    """What three or more models of different sizes say together: a class for each figure, and what moves with what.

    Figures `name_class` (fragile, robust, rising, at chance or undecided) and `one~two_correlation`, for a report's
    ratios; correlations are of main figures only, not of what stands after a colon. Nothing for fewer than three
    models; one figure `models_sweep` without a value that says why where the models cannot be taken together.
    """
    if len(subjects) < 3:
        return ()
    sizes = [(f.value if (f := s.figure(size)) is not None else None) for s in subjects]
    known = [Point(size=v, subject=s) for v, s in zip(sizes, subjects, strict=True) if v is not None]
    main = [
        replace(p, subject=replace(p.subject, figures=tuple(f for f in p.subject.figures if ":" not in f.name)))
        for p in known
    ]
    try:
        return (*classes(classify(known)), *correlations(correlate(main)))
    except MeasureError as error:
        return (Measurement(name="models_sweep", value=None, unit="", note=str(error)),)


def require_unseen(calibration: Sequence[str], tasks: Sequence[Task]) -> None:
    """Make sure that no passage of a task is in the text that a model was fitted to.

    Raises:
        DataError: one is; the task is named.
    """
    for task in tasks:
        items = getattr(task, "items", None) or getattr(task, "prompts", None) or getattr(task, "several", ())
        asked = [f"{getattr(i, 'context', '')} {getattr(i, 'question', '') or getattr(i, 'prompt', '')}" for i in items]
        try:
            require_disjoint(calibration, asked)
        except DataError as error:
            raise DataError(f"the task {task.name} was leaked: {error}") from error


def _loader(folder: Path, name: str, lender: Lender, stack: ExitStack) -> Callable[[], Examined]:
    held: list[Examined] = []
    stack.callback(held.clear)

    def get() -> Examined:
        if not held:
            try:
                reader: Any = tokenizer(folder)
            except DataError:
                reader = None  # a task that needs one says so
            module = stack.enter_context(lender.lend(folder))
            held.append(Examined(name=name, module=module, tokenizer=reader, folder=folder))
        return held[0]

    return get


def _taken(task: Task, place: Path, model: Callable[[], Examined], progress: Progress) -> list[Measurement]:
    examined = model()
    try:
        found = task.run(examined, progress=lambda d, n: progress(f"{task.name} of {examined.name}", d, n))
    except (MeasureError, DataError) as error:
        return [Measurement(name=task.name, value=None, unit="", protocol=task.key(), note=str(error), group="quality")]
    text = json.dumps([asdict(f) for f in found])
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(place)
    return [Measurement(**f) for f in json.loads(text)]  # as a later run will find it


def _kept(place: Path) -> list[Measurement] | None:
    """What was kept, or None when nothing was or the file is damaged."""
    try:
        return [Measurement(**f) for f in json.loads(place.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
