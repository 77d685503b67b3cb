"""A file for another runtime, measured in that runtime."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from penjing.core import Report
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.errors import CheckpointError, RequestError
from penjing.exporters.runtime import runners, runs
from penjing.pipeline.evidence import Evidence
from penjing.pipeline.file_report import file_report
from penjing.pipeline.request import Run, Source
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.values import lender_of, open_source
from penjing.running.source import as_folder


def runs_elsewhere(model: object, against: object) -> bool:
    """Whether this is a file that another runtime runs, by its ending; no other is held `against` a checkpoint.

    A folder of packed weights is such a file, too.

    Raises:
        CheckpointError: there is no such file.
        RequestError: something else is to be held against a checkpoint.
    """
    if isinstance(model, str | Path) and Path(model).is_dir() and runs(Path(model)):
        return True
    named = isinstance(model, str | Path) and Path(model).suffix in runners()
    if named and not Path(str(model)).is_file():
        raise CheckpointError(f"there is no file {model}; name one that 'penjing export' wrote, or llama.cpp's own")
    if not named and against is not None:
        raise RequestError(f"{model} is no file for another runtime; 'penjing compare' measures two checkpoints")
    return named


def measured_file(
    model: str | Path, wish: Evidence, run: Run, *, against: Source | None = None, notes: Sequence[str] = (),
    command: str = "", progress: Progress = silent,
) -> Report:  # fmt: skip
    """The figures of a file in its runtime, beside those of the checkpoint that it is held `against`.

    Raises:
        PenjingError: the file does not run, or the text does not serve.
    """
    with surroundings(threads=run.threads, offline=run.offline), lender_of(run) as lender:
        folder = None if against is None else as_folder(open_source(against), cache_folder(), progress)
        found = file_report(Path(model), wish, folder, lender, command=command, progress=progress)
    return replace(found, notes=(*notes, *found.notes))
