"""A model as far as it is known before its weights are opened; nothing heavy is imported for one that is known."""

from pathlib import Path
from typing import Any

from penjing.pipeline.request import Source
from penjing.running.outline import Outline, outline


def outline_of(source: Source) -> Outline:
    """Name, config, layout and contents of the model that is asked for.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived, or the table does not fit.
    """
    model: Any = source.model
    table = None if source.table is None else Path(source.table)
    return outline(model, example=source.example, table=table, revision=source.revision)
