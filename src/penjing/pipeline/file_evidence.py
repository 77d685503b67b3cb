"""The figures of the files for other runtimes that lie beside a result, taken in those runtimes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from penjing.core import Measurement
from penjing.core.progress import Progress, silent
from penjing.evaluate import Blocks
from penjing.evaluate.scoring import fitting
from penjing.exporters.runtime import runner_of, runs
from penjing.io import read_contents
from penjing.pipeline.evidence import Evidence, Material
from penjing.pipeline.file_figures import read, with_rates
from penjing.pipeline.file_report import file_speed
from penjing.pipeline.parts import Figures, Parts
from penjing.pipeline.quality import Reading
from penjing.profiling.speed import compare_speed
from penjing.running.lending import Lender

LEFT_OUT = frozenset({"bits_per_byte", "joules_per_token", "joules_per_image", "joules_per_pass"})


def with_figures(
    files: Sequence[Mapping[str, Any]], folder: Path, places: Sequence[Path], wish: Evidence, material: Material, *,
    lender: Lender, parts: Parts, progress: Progress = silent,
) -> list[dict[str, Any]]:  # fmt: skip
    """What is told of files, with the figures of those that are run here; `folder` is the model they were made of.

    The texts are those that the model was measured on, in the same blocks. A file lies in one of the `places`.

    Raises:
        DataError: a text is shorter than a window.
        MeasureError: timing failed.
    """
    run = {f["file"]: path for f in files if runs(path := _where(f["file"], places))}

    def make() -> Figures:
        found = {name: _quality(path, folder, wish, material, lender, progress) for name, path in run.items()}
        lender.release()
        for name, figures in (_times(run, folder, lender, progress) if run and wish.speed else {}).items():
            found[name] += figures
        return found

    taken = parts.take("figures of files", make) if run else {}
    return [{**f, "figures": [asdict(_bare(one)) for one in taken.get(f["file"], ())]} for f in files]


def _where(name: str, places: Sequence[Path]) -> Path:
    return next((p / name for p in places if (p / name).exists()), places[0] / name)


def _quality(
    path: Path, folder: Path, wish: Evidence, material: Material, lender: Lender, progress: Progress
) -> list[Measurement]:
    length = fitting(wish.length, read_contents(folder).config)
    reading = Reading(texts=material.ids, protocols=(Blocks(window=length),), progress=progress)
    threads = lender.threads or torch.get_num_threads()
    with runner_of(path).open(path, context=length, threads=threads) as file:
        usual = None if file.vocabulary else torch.float32
        with lender.lend(folder, usual) as original:
            return [f for f in read(file, path.name, reading, original).own if f.name not in LEFT_OUT]


def _times(
    run: Mapping[str, Path], folder: Path, lender: Lender, progress: Progress
) -> dict[str, list[Measurement]]:
    speed = file_speed(lender.threads, folder)
    timed = compare_speed(run, speed=speed, progress=lambda d, n: progress("timing the files", d, n))
    return {
        name: with_rates([f for f in figures if f.name not in LEFT_OUT], speed.tokens)
        for name, figures in timed.figures.items()
    }


def _bare(figure: Measurement) -> Measurement:
    """Without what only comparisons need."""
    return replace(figure, details={}, items={})
