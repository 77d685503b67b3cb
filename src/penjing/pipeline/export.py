"""From a folder to one file that another runtime opens, held against the model before it gets its name."""

from dataclasses import replace
from pathlib import Path

from penjing.core.progress import Progress, silent
from penjing.errors import ExportError, OutputError
from penjing.exporters.exporter import Given, Written, discard
from penjing.exporters.formats import FORMATS, parted, variant_of
from penjing.io import open_checkpoint, stock_opens, writing
from penjing.io.quantised import decoded, quantisation
from penjing.io.workspace import outside
from penjing.running import stock
from penjing.running.source import as_folder, resolve


def export(
    model: str | Path, to: str, out: Path, *, revision: str | None = None, table: Path | None = None, cache: Path,
    progress: Progress = silent,
) -> Written:  # fmt: skip
    """Write the model in a format, run the file, or folder, and give what was written.

    It is written under another name first, so that a file of this name is whole and was held against the model.

    Raises:
        PenjingError: there is no such format.
        OutputError: there is a file of this name, or no folder for it, or it cannot be written.
        ExportError: the model is quantised already or cannot be written in this format, or the file computes something
            else.
    """
    name, variant = parted(to)
    exporter = FORMATS.load(name).EXPORTER
    variant = variant_of(exporter, to, variant)
    if exporter.suffix and out.suffix != exporter.suffix:
        raise OutputError(f"the output is {out.name}, and a file of {name} ends in {exporter.suffix}; name it so")
    folder = Path(model)
    out = outside(out, (folder,) if folder.is_dir() else ())
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    with writing(out):
        if out.exists():
            raise OutputError(f"{out} exists; choose another name, or remove it first")
        if not out.parent.is_dir():
            raise OutputError(f"there is no folder {out.parent}; make it first")
        partial.touch()  # what the system refuses is said before any work
        if not exporter.suffix:
            partial.unlink()
    try:
        progress("opening the model", 0, 0)
        _refuse_packed(model, revision, to)
        opened = _folder(model, revision, table, cache, progress)
        given = Given(folder=opened, load=lambda dtype: stock.load(opened, dtype=dtype))
        with writing(out):
            told = exporter.make(given, partial, variant, progress)
            partial.rename(out)
    finally:
        discard(partial)
    return replace(told, path=out)


def _refuse_packed(model: str | Path, revision: str | None, to: str) -> None:
    """Every format is made of numbers, not of codes, which are rounded already."""
    checkpoint = open_checkpoint(model, revision=revision)
    if checkpoint.kind != "folder" or not (found := quantisation(checkpoint)):
        return
    raise ExportError(
        f"{model} is quantised ({found}), and {to} is made of weights that are numbers; export the folder that it was "
        f"made from: penjing export THAT_FOLDER --to {to}. If it is gone, {decoded(checkpoint)}, and export that: "
        "its rounding stays, and another is added"
    )


def _folder(model: str | Path, revision: str | None, table: Path | None, cache: Path, progress: Progress) -> Path:
    """A folder that stock loaders open; only what must be converted has its layout derived."""
    checkpoint = open_checkpoint(model, revision=revision)
    if checkpoint.kind == "folder" and checkpoint.folder is not None and stock_opens(checkpoint.folder):
        return checkpoint.folder
    return as_folder(resolve(model, revision=revision, table=table), cache, progress)
