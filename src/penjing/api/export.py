"""One file that another runtime opens."""

from os import PathLike
from pathlib import Path

from penjing.api.keywords import Model
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import ExportError
from penjing.exporters.exporter import Written
from penjing.pipeline.asking import Exporting
from penjing.pipeline.export import export as write
from penjing.pipeline.request import Run, Source
from penjing.pipeline.surroundings import surroundings


@shows_progress
def export(
    model: Model, to: str, out: str | PathLike[str], *, run: Run | None = None, progress: Progress = silent
) -> Written:
    """Write a model as one file of a format, such as "pt2", and hold what the file computes against the model.

    Raises:
        PenjingError: there is no such format.
        CheckpointError: the model cannot be read.
        OutputError: the file exists, or has another ending than the format's.
        ExportError: the model cannot be written in this format, or the file computes something else.
    """
    source = model if isinstance(model, Source) else Source(model=model)
    return exported(source, Exporting(to=to, out=str(out)), run or Run(), progress=progress)


def exported(source: Source, asked: Exporting, run: Run, *, progress: Progress = silent) -> Written:
    """What is asked for.

    Raises:
        PenjingError: as `export`.
    """
    with surroundings(threads=run.threads, offline=run.offline):
        if not isinstance(source.model, str | Path):
            raise ExportError("found a module in memory, needed a folder; save it with save_pretrained first")
        return write(
            source.model, asked.to, Path(asked.out), revision=source.revision,
            table=None if source.table is None else Path(source.table), cache=cache_folder(), progress=progress,
        )  # fmt: skip
