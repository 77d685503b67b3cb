"""Tied tensors that the files hold twice: one of two equal copies is left out, and unequal ones are not tied."""

from dataclasses import replace

import torch

from penjing.core import Layout
from penjing.errors import CheckpointError
from penjing.io import OpenCheckpoint
from penjing.layouts import from_config

ROWS = 4096
"""Rows that are compared at a time."""


def settle(checkpoint: OpenCheckpoint, layout: Layout) -> tuple[OpenCheckpoint, Layout]:
    """The checkpoint with each tied tensor once, and its layout.

    Where two names of a tied tensor are stored with other values, stock code does not tie them either: the config then
    says so, and the layout is that of the untied model.

    Raises:
        CheckpointError: they are unequal, and the model's class ties them whatever its config says.
    """
    twice = {name: kept for name, kept in layout.aliases.items() if {name, kept} <= checkpoint.shapes.keys()}
    if not twice:
        return checkpoint, layout
    apart = next((name for name, kept in twice.items() if not _equal(checkpoint, name, kept)), None)
    if apart is None:
        return _without(checkpoint, twice), layout
    from penjing.surgery.result_config import without_ties

    config = without_ties(checkpoint.config)
    own = from_config(config, stored=checkpoint.shapes)
    if apart in own.aliases:
        raise CheckpointError(
            f"{checkpoint.source} holds {apart} and {twice[apart]} with different values, and the model's class ties "
            f"them whatever its config says; take the one that is not meant out of the files"
        )
    note = f"{apart} differs from {twice[apart]}, to which the config ties it: as in stock code they stay apart"
    return replace(checkpoint, config=config, notes=(*checkpoint.notes, note)), own


def _equal(checkpoint: OpenCheckpoint, one: str, other: str) -> bool:
    shape = checkpoint.shapes[one]
    if shape != checkpoint.shapes[other] or checkpoint.dtypes[one] != checkpoint.dtypes[other]:
        return False
    starts = range(0, shape[0], ROWS) if shape else ()
    pieces = [(s, min(s + ROWS, shape[0])) for s in starts]
    if not shape:
        return torch.equal(checkpoint[one], checkpoint[other])
    return all(torch.equal(checkpoint.rows(one, *p), checkpoint.rows(other, *p)) for p in pieces)


def _without(checkpoint: OpenCheckpoint, names: dict[str, str]) -> OpenCheckpoint:
    note = f"{', '.join(names)} is stored a second time and is written once, as the tied tensor that it is"
    shards = [tuple(n for n in shard if n not in names) for shard in checkpoint.shards]
    return replace(
        checkpoint,
        tensors={n: spec for n, spec in checkpoint.tensors.items() if n not in names},
        spans={n: span for n, span in checkpoint.spans.items() if n not in names},
        shards=tuple(s for s in shards if s),
        aliases={**checkpoint.aliases, **names},
        notes=(*checkpoint.notes, note),
    )
