"""From what a user names to a checkpoint, its layout, and a folder that stock loaders open."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from penjing.core import Layout
from penjing.core.progress import Progress, counter, silent
from penjing.errors import CheckpointError
from penjing.io import OpenCheckpoint, open_checkpoint, refuse_quantised, stock_opens
from penjing.layouts import from_config, load_layout
from penjing.running.of_module import layout_of
from penjing.running.outline import bare_config, check_config
from penjing.running.ties import settle


@dataclass(frozen=True)
class Source:
    """A model as penjing sees it: its tensors (None for a bare config), its config and its layout."""

    name: str
    checkpoint: OpenCheckpoint | None
    config: Mapping[str, Any]
    layout: Layout

    def weights(self) -> OpenCheckpoint:
        """The tensors.

        Raises:
            CheckpointError: only a config was given.
        """
        if self.checkpoint is None:
            raise CheckpointError(f"{self.name} is a config without weights; name a folder that holds the weights too")
        return self.checkpoint


def hub_id(source: Source) -> str | None:
    """The hub id of a model that was named by it, or that lies in the hub's cache; None for any other."""
    folder = source.checkpoint.folder if source.checkpoint is not None else None
    for place in [folder, *(folder.parents if folder is not None else ())]:
        if place is not None and place.name.startswith("models--") and place.name.count("--") <= 2:
            return "/".join(place.name.split("--")[1:])
    return None if Path(source.name).exists() or source.name.count("/") > 1 else source.name


def resolve(
    model: str | Path | nn.Module, *, example: Any = None, table: Path | None = None, weights: bool = True,
    revision: str | None = None, graph: bool = False,
) -> Source:  # fmt: skip
    """Open a model and derive its layout, or read the layout from a corrected `table`.

    `model` is a folder, a hub id, a GGUF file, a config.json (or a folder with nothing else in it) or a module;
    a module that is not of transformers needs an `example` input. With `weights=False` a config is enough.
    `revision` is a branch, tag or commit of a hub id. With `graph` the axes are those of a module's recorded graph.

    Raises:
        CheckpointError: the model cannot be read, or is quantised and its weights are asked for.
        LayoutError: its axes cannot be derived, or the table does not fit.
    """
    if isinstance(model, nn.Module):
        checkpoint = open_checkpoint(model)
        layout = load_layout(table) if table else layout_of(model, example, graph=graph)
        return Source(type(model).__name__, checkpoint, checkpoint.config, layout)
    bare = bare_config(Path(model))
    if bare is not None and not weights:
        return Source(str(model), None, bare, load_layout(table) if table else from_config(bare))
    checkpoint = open_checkpoint(model, revision=revision)
    if table:
        return Source(str(model), checkpoint, checkpoint.config, load_layout(table))
    check_config(model, checkpoint.config)
    if weights:
        refuse_quantised(checkpoint, str(model))
    checkpoint, layout = settle(checkpoint, _layout(checkpoint, str(model)))
    return Source(str(model), checkpoint, checkpoint.config, layout)


def _layout(checkpoint: OpenCheckpoint, name: str) -> Layout:
    try:
        return from_config(checkpoint.config, stored=checkpoint.shapes)
    except CheckpointError:
        refuse_quantised(checkpoint, name)  # names the cause, where codes lie under other names or shapes
        raise


def as_folder(source: Source, cache: Path, progress: Progress = silent) -> Path:
    """A folder with the model's weights that stock loaders open: the model's own, or a conversion under `cache`."""
    from penjing.core import Plan
    from penjing.surgery import stream

    checkpoint = source.weights()
    if checkpoint.kind == "folder" and checkpoint.folder is not None and stock_opens(checkpoint.folder):
        return checkpoint.folder
    folder = cache / "converted" / checkpoint.fingerprint[:16] / (Path(source.name).stem or "model")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        what = "converting to a standard checkpoint"
        progress(what, 0, 0)
        total = sum(math.prod(s) * checkpoint.dtypes[n].itemsize for n, s in checkpoint.shapes.items())
        stream(checkpoint, source.layout, Plan(), folder, progress=counter(progress, what, total))
    return folder
