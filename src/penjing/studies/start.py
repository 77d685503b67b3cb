"""A study from Python."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.studies.asked import Study, read_study
from penjing.studies.carry import Done, carry, shown
from penjing.studies.executors import EXECUTORS


@shows_progress
def study(
    file: str | Path, *, run: bool = True, again: bool = False, executor: str | None = None,
    settings: Mapping[str, Any] | None = None, progress: Progress = silent,
) -> Done:  # fmt: skip
    """Run what is not finished yet of the study in a file, and show all that is; with `run` False only show it.

    With `again`, runs that failed are tried once more. `executor` ("here", "processes", "ray") and its `settings` take
    the place of those in the file. The result has `rows` and `table`; the study's folder a page, and `runs.npz`, an
    array for each column.

    Raises:
        RequestError: the file cannot be read, or something in it is not known.
        OutputError: the study's folder holds something else, or is in use, or the disk refuses.
    """
    asked = with_executor(read_study(file), executor, settings)
    return carry(asked, again=again, progress=progress) if run else shown(asked)


def with_executor(asked: Study, executor: str | None, settings: Mapping[str, Any] | None) -> Study:
    """The study with another executor, or other settings of it.

    Raises:
        PenjingError: there is no such executor, or setting of it.
    """
    if executor is None and not settings:
        return asked
    name = executor or asked.executor
    how = {**(asked.how if name == asked.executor else {}), **(settings or {})}
    EXECUTORS.build(name, how)
    return replace(asked, executor=name, how=how)
