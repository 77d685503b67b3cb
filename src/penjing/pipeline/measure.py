"""All figures of one model, or of several beside an original."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from penjing.core import Subject
from penjing.core.progress import Progress, silent
from penjing.evaluate.perplexity import Blocks, Protocol, Text
from penjing.pipeline.quality import Reading
from penjing.pipeline.side_by_side import Comparison, SideBySide
from penjing.profiling.speed import Speed
from penjing.running.lending import Lender

__all__ = ["Comparison", "measure", "measure_many"]


def measure(
    source: str | Path,
    *,
    texts: Mapping[str, Text] | None = None,
    protocols: Sequence[Protocol] = (Blocks(),),
    speed: bool | Speed = True,
    device: str = "cpu",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> Subject:
    """Every figure of the model in a folder. What does not apply or was not asked for has no value and a note.

    `texts` maps a name to token numbers [tokens] or documents (text, tokens). `progress` gets (what, done, all).

    Raises:
        CheckpointError: the folder cannot be read.
        DeviceError: the device is not there.
        DataError: a text is shorter than a window.
        MeasureError: the window asked for is longer than the model's positions.
    """
    found = measure_many(
        source, (), texts=texts, protocols=protocols, speed=speed, device=device, dtype=dtype, progress=progress
    )
    return found.subjects[0]


def measure_many(
    base: str | Path,
    others: Sequence[str | Path],
    *,
    texts: Mapping[str, Text] | None = None,
    protocols: Sequence[Protocol] = (Blocks(),),
    speed: bool | Speed = True,
    device: str = "cpu",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> Comparison:
    """The figures of an original and of the models made from it, taken side by side, and their ratios.

    Each model is opened once here, and times are taken last, in processes of their own, interleaved. Perplexities are
    of the same windows. For the first text and protocol, each other
    model's divergence from the original and agreement with it are taken too.

    Raises:
        CheckpointError: a folder cannot be read.
        DeviceError: the device is not there.
        DataError: a text is shorter than a window.
        MeasureError: the window asked for is longer than a model's positions.
    """
    reading = Reading(texts=texts or {}, protocols=tuple(protocols), progress=progress or silent)
    with Lender(device=device, dtype=None if dtype == "auto" else dtype) as lender:
        found = SideBySide([Path(base), *map(Path, others)], reading, lender)
        found.take()
        found.time(speed)
    return found.found
