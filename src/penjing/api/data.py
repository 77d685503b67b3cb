"""What may be left out of training data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.data.images import read_images
from penjing.pipeline.asking import Pruning
from penjing.pipeline.data_pruning import PrunedData, Wish
from penjing.pipeline.data_pruning import prune_data as choose
from penjing.pipeline.request import Run
from penjing.pipeline.values import lender_of
from penjing.running.source import as_folder, resolve
from penjing.tasks.images.preparation import preparation
from penjing.tasks.images.probe import features
from penjing.tasks.task import Examined


@shows_progress
def prune_data(
    images: str | Path, *, labels: str | Path | None = None, encoder: str | Path | None = None, keep: float = 0.8,
    score: str = "prototypes", settings: Mapping[str, Any] | None = None, end: str = "auto", trim: float = 0.0,
    limit: int | None = None, pairs: int = 5, steps: int = 600, seed: int = 0, anyway: bool = False,
    run: Run | None = None, progress: Progress = silent,
) -> PrunedData:  # fmt: skip
    """Which labelled pictures may be left out of training, and what that is worth against a random choice.

    Three fifths of the pictures are scored, on features of an `encoder` or on pixels; a fifth decides which `end` of
    the scores stays ("hard" or "easy"), and what it is worth is told on the last fifth. `found.kept` and
    `found.dropped` are the ids of the pictures that were scored.

    Raises:
        UnsupportedError: a random choice is clearly better.
        PenjingError: the pictures, the encoder or a setting does not serve.
    """
    asked = Pruning(
        images=str(images), labels=None if labels is None else str(labels),
        encoder=None if encoder is None else str(encoder), keep=keep, score=score, settings=dict(settings or {}),
        end=end, trim=trim, limit=limit, pairs=pairs, steps=steps, seed=seed, anyway=anyway,
    )  # fmt: skip
    return pruned(asked, run or Run(), progress=progress)


def pruned(asked: Pruning, run: Run, *, progress: Progress = silent) -> PrunedData:
    """The pictures that may go, as asked for.

    Raises:
        PenjingError: as `prune_data`.
    """
    found = read_images(asked.images, labels=asked.labels, limit=asked.limit, seed=asked.seed)
    wish = Wish(
        keep=asked.keep, score=asked.score, settings=asked.settings, end=asked.end, trim=asked.trim,  # type: ignore[arg-type]
        seeds=asked.pairs, steps=asked.steps, seed=asked.seed, anyway=asked.anyway,
    )  # fmt: skip
    if asked.encoder is None:
        return choose(found, wish, progress=progress)
    folder = as_folder(resolve(asked.encoder), cache_folder(), progress)
    with lender_of(run) as lender, lender.lend(folder) as module:
        prepare = preparation(Examined(name=folder.name, module=module, folder=folder), None)
        body = getattr(module, "base_model", module)
        return choose(found, wish, features=lambda part: features(body, part, prepare), progress=progress)
