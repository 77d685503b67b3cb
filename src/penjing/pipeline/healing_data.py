"""What a model is healed on: batches of packed text, of images, or the user's own, and some that are held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from penjing.core import Budget
from penjing.core.progress import Progress
from penjing.data import read_texts, shipped, tokenise, windows
from penjing.data.datasets import NAMED, named_texts
from penjing.errors import DataError
from penjing.evaluate.scoring import fitting
from penjing.pipeline.heal_options import Heal
from penjing.pipeline.request import Data
from penjing.pipeline.teacher_text import TOKENS
from penjing.planning.examples import examples
from penjing.planning.order import Order
from penjing.running.source import Source, as_folder
from penjing.running.stock import tokenizer
from penjing.train.loop import size_of, unit_of

ROWS, IMAGES = 2, 32
"""Rows of text, and images, in a batch, where nothing else is asked for."""
HELD_OUT, SHARE = 8, 20
"""Rows held out at most, and of how many one is."""
CHARACTERS_PER_TOKEN = 8


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Batches to train on, those held out, how much of it a batch has, its unit, what it is, and a digest of all."""

    batches: Sequence[Any]
    held_out: Sequence[Any]
    size: int
    unit: str
    told: dict[str, Any]
    digest: str


Writes = Callable[[int, int], tuple[torch.Tensor, Mapping[str, Any]]]
"""Takes how many tokens are needed and how many a row has; gives rows of the teacher's own text, and what to tell."""


def lessons(
    source: Source, heal: Heal, data: Data, *, cache: Path, writes: Writes | None = None, progress: Progress
) -> Lessons:
    """What healing reads, from the texts or images named for it, or else those that calibrate.

    `writes` is what makes a text of the teacher's own, where such a one was asked for.

    Raises:
        DataError: there is none, it is shorter than a batch, or cannot be read.
    """
    if data.batches is not None or heal.images or (data.images and not heal.texts and not heal.written):
        return _any(source, heal, data, cache, progress)
    length, batch = fitting(heal.length, source.config), heal.batch or ROWS
    if heal.written and writes is not None:
        rows, about = writes(heal.tokens or TOKENS, length)
        ids, names = rows.flatten(), ["the teacher's own"]
    else:
        folder, about = as_folder(source, cache, progress), {}
        progress("reading the text to train on", 0, 0)
        texts, names = texts_of(heal, data)
        ids = tokenise(texts, tokenizer(folder))
    if ids.numel() < batch * length:
        raise DataError(
            f"found {ids.numel():,} tokens to train on, needed {batch * length:,} for one batch of {batch} rows of "
            f"{length}; give more text, or ask for shorter rows (--length) or smaller batches (--batch)"
        )
    rows = windows(ids, length)
    aside = min(HELD_OUT, len(rows) // SHARE) if len(rows) >= 2 * batch else 0
    kept, held = rows[: len(rows) - aside], rows[len(rows) - aside :]
    order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(data.seed))
    packed = kept[order][: len(kept) // batch * batch]
    told = {"files": names, "rows": len(packed), "length": length, "batch": batch, "held out rows": aside, **about}
    return Lessons(
        batches=list(packed.split(batch)), held_out=list(held.split(batch)) if aside else [], size=batch * length,
        unit="tokens", told=told, digest=sha256(ids.numpy().tobytes() + str(told).encode()).hexdigest(),
    )  # fmt: skip


def texts_of(heal: Heal, data: Data) -> tuple[list[str], list[str]]:
    """(texts, the names of where they are from).

    Raises:
        DataError: a text cannot be read.
    """
    named = list(heal.texts or data.texts)
    paths = paths_of(heal, data)
    texts = read_texts(paths) if paths else []
    # How much of a data set is read: what the tokens that are asked for need, or what an hour of training may take.
    enough = (heal.tokens or 10_000_000) * CHARACTERS_PER_TOKEN
    sets = [n for n in named if n.startswith(NAMED)]
    for name in sets:
        texts += named_texts(name, enough)
    return texts, [p.name for p in paths] + sets


def paths_of(heal: Heal, data: Data) -> list[Path]:
    """The files of text to train on."""
    named = list(heal.texts or data.texts)
    return [Path(n) for n in named if not n.startswith(NAMED)] or ([] if named else shipped("calibration"))


def _any(source: Source, heal: Heal, data: Data, cache: Path, progress: Progress) -> Lessons:
    own: Any = data.batches
    order = Order(
        method="healing", budget=Budget(keep=1.0), settings={}, images=tuple(map(Path, heal.images or data.images)),
        labels=None if data.labels is None else Path(data.labels), batches=own,
        batch=heal.batch or IMAGES, rows=0, seed=data.seed,
    )  # fmt: skip
    found = examples(source, order, cache=cache, progress=progress, purpose="healing")
    batches = list(found.again())
    if not batches:
        raise DataError("found no batches to train on, needed at least one; give images or batches")
    aside = 1 if len(batches) >= SHARE else 0
    kept = batches[: len(batches) - aside]
    return Lessons(
        batches=kept, held_out=batches[len(kept) :], size=max(map(size_of, kept)), unit=unit_of(kept[0]),
        told=dict(found.told.get("calibration", {})), digest=found.digest,
    )  # fmt: skip
