"""How alike the inner states of models are to the original's, as figures of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.core.progress import Progress, silent
from penjing.data.features import Features
from penjing.data.sounds import Sounds
from penjing.errors import DataError, MeasureError
from penjing.evaluate.scoring import REFUSALS
from penjing.evaluate.similarity import similarity
from penjing.tasks.images.preparation import preparation
from penjing.tasks.task import Examined, Task

CKA = Measurement(
    name="cka", value=None, unit="linear CKA of the last blocks", label="Likeness of features to the original (CKA)",
    better="higher", group="quality",
)  # fmt: skip
"""The figure, without its value."""
WINDOWS, LENGTH, PICTURES = 8, 128, 32
"""How much is looked at: that many windows of so many tokens, or that many pictures."""
RECORDINGS = 8
NOTHING = "there is neither a text nor a task of pictures or recordings that both models could look at"


class Likeness:
    """The figure `cka` of models against an original: linear CKA of the last blocks.

    Looked at are windows of the first of the texts `tokens` ([tokens] ids each); without texts, and by models that take
    no text, the pictures or recordings of the first task that has some. Where it cannot be done, the figure has no
    value and its note says why.
    `details["curve"]` has, for each block, the CKA with the most alike block of the original.
    """

    def __init__(self, tokens: Mapping[str, Tensor], tasks: Sequence[Task] = ()) -> None:
        self._tokens, self._tasks = tokens, tasks

    @property
    def serves(self) -> bool:
        """Whether there is something to look at."""
        return any(len(ids) for ids in self._tokens.values()) or any(
            _images(t) is not None or _sounds(t) is not None for t in self._tasks
        )

    def nothing(self) -> Measurement:
        """The figure where there is nothing to look at."""
        return _missing(NOTHING)

    def of(self, pair: tuple[Any, Any], base: Path, other: Path, progress: Progress = silent) -> Measurement:
        """The figure of the second of a pair of modules against the first; these are their folders.

        Raises:
            CheckpointError: a folder cannot be read.
        """
        what = f"likeness of {other.name}"
        try:
            batches = _batches(base, pair[0], self._tokens, self._tasks)
            found = similarity(*pair, batches, progress=lambda d, n: progress(what, d, n))
        except (DataError, MeasureError, *REFUSALS) as error:
            return _missing((str(error) or type(error).__name__).splitlines()[0])
        curve = _curve(found.details["matrix"])
        details = {**found.details, **({"curve": curve} if curve else {})}
        return replace(found, name=CKA.name, label=CKA.label, details=details)


def _missing(why: str) -> Measurement:
    return replace(CKA, note=f"withheld: {why}")


def _batches(folder: Path, base: Any, tokens: Mapping[str, Tensor], tasks: Sequence[Task]) -> list[Any]:
    reads = getattr(base, "main_input_name", "input_ids") == "input_ids"
    for ids in tokens.values() if reads else ():
        limit = getattr(base.config, "max_position_embeddings", None) or LENGTH
        length = min(LENGTH, limit, len(ids))
        count = min(WINDOWS, len(ids) // length) if length else 0
        if count:
            return list(torch.as_tensor(ids)[: count * length].view(count, length).split(4))
    for task in tasks:
        if (images := _images(task)) is not None:
            prepare = preparation(Examined(name=folder.name, module=base, folder=folder), None)
            some = images.take(min(PICTURES, len(images)))
            return [prepare(some.pixels[places]) for places in torch.arange(len(some)).split(8)]
        if (sounds := _sounds(task)) is not None:
            return _recordings(folder, base, sounds)
    raise DataError(NOTHING)


def _recordings(folder: Path, base: Any, sounds: Sounds) -> list[dict[str, Tensor]]:
    """A batch of each of the first recordings; what is said in it goes to a decoder where there is one."""
    features = Features(folder)
    writes = getattr(base.config, "is_encoder_decoder", False)
    dtype = next(p.dtype for p in base.parameters() if p.is_floating_point())
    out = []
    for i in range(min(RECORDINGS, len(sounds))):
        made = features([sounds.wave(i, features.rate)])
        said = {"labels": features.tokens([sounds.texts[i]])} if writes and sounds.texts else {}
        out.append({k: v.to(dtype) if v.is_floating_point() else v for k, v in made.items()} | said)
    return out


def _sounds(task: Task) -> Sounds | None:
    found = getattr(task, "sounds", None)
    return found if isinstance(found, Sounds) else None


def _images(task: Task) -> Any:
    return getattr(getattr(task, "task", task), "images", None)


def _curve(matrix: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    """The best of each column over the depth of the smaller model, from 0 to 1; None where a block does not vary."""
    best = [max((v for v in column if v is not None), default=None) for column in zip(*matrix, strict=True)]
    if len(best) < 2 or None in best:
        return None
    depth = [round(i / (len(best) - 1), 4) for i in range(len(best))]
    return {"x": depth, "y": best, "x_name": "depth, 0 the first block, 1 the last", "y_name": "CKA with the original"}
