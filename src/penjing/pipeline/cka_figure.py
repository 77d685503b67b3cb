"""How alike the inner states of models are to the original's, as figures of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, MeasureError
from penjing.evaluate.similarity import similarity
from penjing.running.stock import load
from penjing.tasks.images.preparation import preparation
from penjing.tasks.task import Examined, Task

CKA = Measurement(
    name="cka", value=None, unit="linear CKA of the last blocks", label="Likeness of features to the original (CKA)",
    better="higher", group="quality",
)  # fmt: skip
"""The figure, without its value."""
WINDOWS, LENGTH, PICTURES = 8, 128, 32
"""How much is looked at: that many windows of so many tokens, or that many pictures."""


def alike(
    folders: Sequence[Path], tokens: Mapping[str, Tensor], tasks: Sequence[Task] = (), *, progress: Progress = silent
) -> tuple[Measurement | None, ...]:
    """For each folder the figure `cka` against the first, which has none (None): linear CKA of the last blocks.

    Looked at are windows of the first of the texts `tokens` ([tokens] ids each); without texts the pictures of the
    first task that has some. Two models are in memory at a time. Where it cannot be done, the figure has no value and
    its note says why. `details["curve"]` has, for each block, the CKA with the most alike block of the original.

    Raises:
        CheckpointError: a folder cannot be read.
    """
    if len(folders) < 2:
        return (None,) * len(folders)
    base = load(folders[0])
    try:
        batches = _batches(folders[0], base, tokens, tasks)
    except (DataError, MeasureError) as error:
        return (None, *(_missing(str(error)) for _ in folders[1:]))
    out: list[Measurement | None] = [None]
    for folder in folders[1:]:
        what = f"likeness of {folder.name}"
        try:
            found = similarity(base, load(folder), batches, progress=lambda d, n, what=what: progress(what, d, n))
        except (MeasureError, RuntimeError, ValueError) as error:
            out.append(_missing(str(error).splitlines()[0]))
            continue
        curve = _curve(found.details["matrix"])
        details = {**found.details, **({"curve": curve} if curve else {})}
        out.append(replace(found, name=CKA.name, label=CKA.label, details=details))
    return tuple(out)


def _missing(why: str) -> Measurement:
    return replace(CKA, note=f"withheld: {why}")


def _batches(folder: Path, base: Any, tokens: Mapping[str, Tensor], tasks: Sequence[Task]) -> list[Tensor]:
    for ids in tokens.values():
        limit = getattr(base.config, "max_position_embeddings", None) or LENGTH
        length = min(LENGTH, limit, len(ids))
        count = min(WINDOWS, len(ids) // length) if length else 0
        if count:
            return list(torch.as_tensor(ids)[: count * length].view(count, length).split(4))
    for task in tasks:
        images = getattr(getattr(task, "task", task), "images", None)
        if images is not None:
            prepare = preparation(Examined(name=folder.name, module=base, folder=folder), None)
            some = images.take(min(PICTURES, len(images)))
            return [prepare(some.pixels[places]) for places in torch.arange(len(some)).split(8)]
    raise DataError("there is neither a text nor a task of pictures that both models could look at")


def _curve(matrix: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    """The best of each column over the depth of the smaller model, from 0 to 1; None where a block does not vary."""
    best = [max((v for v in column if v is not None), default=None) for column in zip(*matrix, strict=True)]
    if len(best) < 2 or None in best:
        return None
    depth = [round(i / (len(best) - 1), 4) for i in range(len(best))]
    return {"x": depth, "y": best, "x_name": "depth, 0 the first block, 1 the last", "y_name": "CKA with the original"}
