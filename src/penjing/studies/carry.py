"""Carrying a study out: what is not finished yet goes to an executor, and what comes back goes into the journal."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from penjing.core.experiment import at
from penjing.core.progress import Progress, silent
from penjing.errors import OutputError
from penjing.experiments import EXPERIMENTS
from penjing.io import write_whole, writing
from penjing.report.study import study_page
from penjing.studies.asked import Study
from penjing.studies.executors import EXECUTORS
from penjing.studies.journal import Journal, Row, check_same, read_rows
from penjing.studies.table import Table, table_of
from penjing.studies.task import Run, Task

EVERY = 20.0
"""Seconds between two writings of the columns; longer where that takes a tenth of it."""
PAGE = "study.html"


@dataclass(frozen=True, kw_only=True, repr=False)
class Done:
    """What is known of a study: its rows by setting and seed, and the table of its figures."""

    study: Study
    rows: tuple[Row, ...]
    table: Table

    @property
    def missing(self) -> int:
        """How many runs are not finished."""
        return len(runs_of(self.study)) - len(self.rows)

    def __repr__(self) -> str:
        return f"Done({self.study.out}: {len(self.rows)} of {len(runs_of(self.study))} runs)"

    def _repr_html_(self) -> str:
        return study_page(self.table)


def runs_of(study: Study) -> list[Run]:
    """Every run that is asked for: all settings of a seed, then those of the next."""
    return [
        Run(key=_key(study.experiment, s.values, seed), setting=s.name, values=s.values, seed=seed)
        for seed in study.seeds
        for s in study.settings
    ]


def carry(study: Study, *, again: bool = False, begun: bool | None = None, progress: Progress = silent) -> Done:
    """Run what is not finished yet, and write the page.

    With `again`, runs that failed are tried once more. `begun` True refuses a folder in which nothing was begun.

    Raises:
        OutputError: the folder holds another study, or is in use, or the disk refuses.
        PenjingError: a place that a setting names is empty, or as the executor.
    """
    if not check_same(study) and begun:
        raise OutputError(f"no study was begun in {study.out}; begin it with 'penjing study run {study.file}'")
    every, folder = runs_of(study), Path(study.file).parent
    for setting in study.settings:  # so that what is not there is refused before anything is written
        at(setting.build(study.experiment), folder)
    with Journal(study) as journal:
        todo = [r for r in every if r.key not in journal.rows or (again and journal.rows[r.key].error)]
        tasks, runs = list(_tasks(study, todo)), {r.key: r for r in every}
        finished, last, took = len(every) - len(todo), time.monotonic(), 0.0
        progress("runs", finished, len(every))
        for _, outcomes in EXECUTORS.build(study.executor, study.how).run(tasks):
            for outcome in outcomes:
                journal.add(runs[outcome.key], outcome)
                finished += 1
            progress("runs", finished, len(every))
            if time.monotonic() - last > max(EVERY, 10 * took):
                last = time.monotonic()
                journal.write_columns()
                took = time.monotonic() - last
        journal.write_columns()
        done = _done(study, journal.rows)
        with writing(study.out / PAGE):
            write_whole(study.out / PAGE, study_page(done.table).encode())
    return done


def shown(study: Study) -> Done:
    """What is finished of a study; nothing is run or written.

    Raises:
        OutputError: no study was begun in its folder, or another one.
    """
    if not check_same(study):
        raise OutputError(f"no study was begun in {study.out}; begin it with 'penjing study run {study.file}'")
    return _done(study, read_rows(study.out))


def _done(study: Study, known: dict[str, Row]) -> Done:
    rows = tuple(known[r.key] for r in runs_of(study) if r.key in known)
    return Done(study=study, rows=rows, table=table_of(study, rows))


def _tasks(study: Study, todo: Sequence[Run]) -> Iterator[Task]:
    """Runs of one shape together, as many as may be; the others alone."""
    built = {s.name: s.build(study.experiment) for s in study.settings}
    shapes = {name: repr(getattr(one, "shape", None)) for name, one in built.items()}
    can = callable(getattr(EXPERIMENTS.type_of(study.experiment), "together", None))
    ordered = sorted(todo, key=lambda r: shapes[r.setting]) if can else list(todo)
    for _, group in groupby(ordered, key=lambda r: shapes[r.setting] if can else r.key):
        rest = iter(group)
        while part := tuple(islice(rest, study.together)):
            yield Task(experiment=study.experiment, folder=str(Path(study.file).parent.absolute()), runs=part)


def _key(experiment: str, values: Any, seed: int) -> str:
    told = json.dumps([experiment, values, seed], sort_keys=True)
    return sha256(told.encode()).hexdigest()[:16]
