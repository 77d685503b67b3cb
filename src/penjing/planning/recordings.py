"""Batches for calibration of recordings, made by the model's own feature extractor."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from penjing.core.progress import Progress
from penjing.data.features import Features
from penjing.data.sounds import Sounds, read_sounds
from penjing.errors import DataError
from penjing.planning.batches import Examples
from penjing.planning.order import Order
from penjing.running.source import Source, as_folder

TOGETHER = 4
"""Recordings in one batch, where nothing else is asked for."""


def recordings(source: Source, order: Order, cache: Path, progress: Progress) -> Examples:
    """As many recordings as rows are asked for, drawn by the seed, with their words or classes as labels.

    Raises:
        DataError: a folder has no recordings, or the model's has no feature extractor, or no tokenizer for words.
        MissingExtraError: the packages that read sound are not installed.
    """
    progress("reading calibration recordings", 0, 0)
    features = Features(as_folder(source, cache, progress))
    shares = [order.rows // len(order.audio) + (i < order.rows % len(order.audio)) for i in range(len(order.audio))]
    sets = [read_sounds(p).take(n, seed=order.seed) for p, n in zip(order.audio, shares, strict=True) if n]
    digest = sha256(features.key().encode())
    for each in sets:
        digest.update(f"{each.sha256} {each.ids} {order.batch}".encode())
    together = order.batch or (1 if _is_ctc(source) and any(s.texts for s in sets) else TOGETHER)

    def again() -> Iterator[dict[str, Tensor]]:
        for each in sets:
            for places in torch.arange(len(each)).split(together):
                yield _batch(each, places.tolist(), features, source)

    told = {
        "files": [Path(p).name for p in order.audio],
        "rows": sum(len(s) for s in sets),
        "features": features.key(),
        "audio_sha256": digest.hexdigest(),
    }
    count = sum(-(-len(s) // together) for s in sets)
    return Examples(again=again, count=count, told={"calibration": told}, digest=digest.hexdigest())


def _is_ctc(source: Source) -> bool:
    """Whether the model aligns words with frames itself: its loss is of one recording at a time."""
    return any(str(name).endswith("ForCTC") for name in source.config.get("architectures") or ())


def _batch(sounds: Sounds, places: list[int], features: Features, source: Source) -> dict[str, Tensor]:
    made = features([sounds.wave(i, features.rate) for i in places])
    if sounds.texts:
        return {**made, "labels": features.tokens([sounds.texts[i] for i in places])}
    outputs = len(source.config.get("id2label") or ()) or int(source.config.get("num_labels") or 2)
    wrong = [sounds.labels[i] for i in places if sounds.labels[i] >= outputs]
    if wrong:
        raise DataError(
            f"{sounds.source} has {len(sounds.names)} classes and the model {outputs} outputs; give others"
        )
    return {**made, "labels": torch.tensor([sounds.labels[i] for i in places])}
