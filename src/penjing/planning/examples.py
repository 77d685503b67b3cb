"""Batches for calibration: of text, images, or the user's own; each with what it came from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.core.progress import Progress
from penjing.data import read_texts, shipped
from penjing.data.datasets import NAMED, named_texts
from penjing.errors import DataError
from penjing.planning.batches import Examples, batches_digest
from penjing.planning.order import Order
from penjing.planning.recordings import recordings
from penjing.planning.rows_cache import rows_of
from penjing.running.source import Source, as_folder

TOKEN_ROWS, IMAGES = 4, 32
"""Examples in one batch, where nothing else is asked for."""

_CHARACTERS_PER_TOKEN = 8
"""More than any tokenizer of natural language needs: how much text of a data set is read."""


def examples(source: Source, order: Order, *, cache: Path, progress: Progress, purpose: str) -> Examples:
    """The data of an order: own batches, else images, else texts, else the text that penjing ships.

    Raises:
        DataError: there is none, or it does not serve.
        MeasureError: how the model wants its images is not known.
        MissingExtraError: a package that reads the data is not installed.
    """
    if order.batches is not None:
        return _own(order.batches)
    if not source.config:
        raise DataError(f"{purpose} needs data and none was given; pass data=[...], batches as the module takes them")
    if order.audio:
        return recordings(source, order, cache, progress)
    if order.images:
        return _images(source, order, cache, progress)
    if _takes_images(source):
        raise DataError(f"{purpose} needs data, and {source.name} takes images; pass images=[...] or data=[...]")
    rows, told = token_batches(source, order, cache, progress)
    batches = list(rows.split(order.batch or TOKEN_ROWS))
    return Examples(again=lambda: batches, count=len(batches), told=told, digest=batches_digest(batches))


def _takes_images(source: Source) -> bool:
    return "image_size" in source.config and "vocab_size" not in source.config


def _own(given: Sequence[Any] | Callable[[], Iterable[Any]]) -> Examples:
    if callable(given):
        return Examples(again=given, count=0, told={"calibration": {"batches": "from a callable"}})
    batches = list(given)
    told = {"calibration": {"batches": len(batches)}}
    return Examples(again=lambda: batches, count=len(batches), told=told, digest=batches_digest(batches))


def token_batches(source: Source, order: Order, cache: Path, progress: Progress) -> tuple[Tensor, dict[str, Any]]:
    """([rows, length] token ids, what they came from).

    Raises:
        DataError: the text cannot be read, or is too short.
    """
    folder = as_folder(source, cache, progress)
    progress("reading calibration text", 0, 0)
    named = [str(p) for p in order.texts]
    paths = [Path(n) for n in named if not n.startswith(NAMED)] or ([] if named else shipped("calibration"))
    texts = read_texts(paths) if paths else []
    enough = order.rows * order.length * _CHARACTERS_PER_TOKEN
    for name in (n for n in named if n.startswith(NAMED)):
        texts += named_texts(name, enough)
    rows = rows_of(folder, texts, length=order.length, count=order.rows, seed=order.seed, cache=cache)
    told = {
        "files": [p.name for p in paths] + [n for n in named if n.startswith(NAMED)],
        "shipped": not order.texts,
        "rows": len(rows),
        "length": order.length,
        "tokens_sha256": _tokens_digest(rows),
    }
    return rows, {"calibration": told}


def _images(source: Source, order: Order, cache: Path, progress: Progress) -> Examples:
    from penjing.data.images import read_images
    from penjing.tasks.images.preparation import preparation
    from penjing.tasks.task import Examined

    progress("reading calibration images", 0, 0)
    folder = as_folder(source, cache, progress)
    prepare = preparation(Examined(name=source.name, module=None, folder=folder), None)
    size = max(prepare.resize) if isinstance(prepare.resize, tuple) else prepare.resize
    each, more = divmod(order.rows, len(order.images))
    shares = [each + (i < more) if order.rows else None for i in range(len(order.images))]
    sets = [
        read_images(path, labels=order.labels, size=size if Path(path).is_dir() else None, limit=share, seed=order.seed)
        for path, share in zip(order.images, shares, strict=True)
        if share != 0
    ]
    digest = sha256(prepare.key().encode())
    for each in sets:
        digest.update(f"{each.sha256} {each.ids} {order.batch}".encode())

    def again() -> Iterator[tuple[Tensor, Tensor]]:
        for each in sets:
            for places in torch.arange(len(each)).split(order.batch or IMAGES):
                yield prepare(each.pixels[places]), each.labels[places]

    told = {
        "files": [Path(p).name for p in order.images],
        "rows": sum(len(s) for s in sets),
        "preparation": prepare.key(),
        "images_sha256": digest.hexdigest(),
    }
    count = sum(-(-len(s) // (order.batch or IMAGES)) for s in sets)
    return Examples(again=again, count=count, told={"calibration": told}, digest=digest.hexdigest())


def _tokens_digest(ids: Tensor) -> str:
    return sha256(ids.to(torch.int64).numpy().tobytes()).hexdigest()
