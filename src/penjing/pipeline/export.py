"""From a folder to one file that another runtime opens, held against the model before it gets its name."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.core.progress import Progress, silent
from penjing.errors import ExportError, OutputError
from penjing.exporters.exporter import Written, check, graph_of
from penjing.exporters.formats import FORMATS
from penjing.io import open_checkpoint, stock_opens
from penjing.io.workspace import outside
from penjing.layouts.graph.inputs import example
from penjing.running import stock
from penjing.running.source import as_folder, resolve


def export(
    model: str | Path, to: str, out: Path, *, revision: str | None = None, table: Path | None = None, cache: Path,
    progress: Progress = silent,
) -> Written:  # fmt: skip
    """Write the model in a format, run the file, and give what was written.

    It is written under another name first, so that a file of this name is whole and was held against the model.

    Raises:
        PenjingError: there is no such format.
        OutputError: there is a file of this name, or no folder for it.
        ExportError: the model cannot be written in this format, or the file computes something else.
    """
    exporter = FORMATS.load(to).EXPORTER
    if out.suffix != exporter.suffix:
        raise OutputError(f"the output is {out.name}, and a file of {to} ends in {exporter.suffix}; name it so")
    folder = Path(model)
    out = outside(out, (folder,) if folder.is_dir() else ())
    if out.exists():
        raise OutputError(f"{out} exists; choose another name, or remove it first")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}; make it first")
    progress("opening the model", 0, 0)
    module = stock.load(_folder(model, revision, table, cache, progress))
    given = example(module, device="cpu")
    graph, inputs = graph_of(module, given)
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        progress(f"writing {out.name}", 0, 0)
        with torch.no_grad():
            _write(exporter, graph, inputs, partial, to)
        progress(f"running {out.name}", 0, 0)
        told = check(exporter, partial, graph, [inputs, _other(inputs)])
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)
    return Written(path=out, bytes=told.bytes, difference=told.difference, compared=told.compared)


def _folder(model: str | Path, revision: str | None, table: Path | None, cache: Path, progress: Progress) -> Path:
    """A folder that stock loaders open; only what must be converted has its layout derived."""
    checkpoint = open_checkpoint(model, revision=revision)
    if checkpoint.kind == "folder" and checkpoint.folder is not None and stock_opens(checkpoint.folder):
        return checkpoint.folder
    return as_folder(resolve(model, revision=revision, table=table), cache, progress)


def _write(exporter: Any, graph: Any, inputs: dict[str, Tensor], partial: Path, to: str) -> None:
    try:
        exporter.write(graph, inputs, partial)
    except Exception as error:  # exporters of other libraries raise of every kind
        lines = [x.strip() for x in str(error).splitlines() if x.strip()] or [type(error).__name__]
        raise ExportError(f"the model cannot be written as {to}: {lines[0]}; nothing was left") from error


def _other(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs of another size: one more in the batch, and of texts a longer one."""
    more = {k: torch.cat([v, v[:1]]) for k, v in inputs.items()}
    texts = [k for k, v in more.items() if v.dim() == 2 and not v.is_floating_point()]
    return more | {k: torch.cat([more[k], more[k][:, :3]], 1) for k in texts}
