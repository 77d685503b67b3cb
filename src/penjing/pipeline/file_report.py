"""A report of one file for another runtime, whose figures are of that runtime, beside its checkpoint if it is named."""

import os
import platform
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.core import Measurement, Report, Subject
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, MeasureError
from penjing.evaluate import Blocks
from penjing.evaluate.costs import costs
from penjing.evaluate.scoring import fitting
from penjing.exporters.runtime import OpenFile, runner_of
from penjing.io import read_contents
from penjing.pipeline.comparison import exact_ratios, perplexity_ratio
from penjing.pipeline.evidence import Evidence, read_ids
from penjing.pipeline.file_figures import Read, read, reader_of, sizes, with_rates
from penjing.pipeline.quality import Reading
from penjing.profiling.speed import FIGURES, JOBS, MEMORY, Speed, SpeedResult, compare_speed
from penjing.running.lending import Lender
from penjing.running.stock import tokenizer


def file_report(
    path: Path, wish: Evidence, against: Path | None, lender: Lender, *, command: str = "", progress: Progress = silent
) -> Report:
    """Sizes, perplexities, rates and memory of a file in its runtime; `against` a checkpoint, also how far it is off.

    Raises:
        MissingExtraError: the runtime is not installed.
        ExportError: nothing runs such a file, or it does not open.
        DataError: a text cannot be read or is too short.
        MeasureError: tasks are asked for, which files do not run, or timing failed.
    """
    if wish.tasks:
        raise MeasureError("tasks are run in transformers; measure the checkpoint that the file was made of")
    runner, threads = runner_of(path), lender.threads or torch.get_num_threads()
    configs = [read_contents(against).config] if against is not None else []
    length = fitting(wish.length, *configs)
    with ExitStack() as stack:
        progress(f"opening {path.name}", 0, 0)
        file = stack.enter_context(runner.open(path, context=length, threads=threads))
        fitted = replace(wish, length=min(length, file.positions or length))
        ids, told = _ids(file, against or path.parent, fitted) if file.vocabulary else ({}, {})
        original = _lent(stack, lender, against, None if file.vocabulary else torch.float32)
        reading = Reading(texts=ids, protocols=(Blocks(window=fitted.length),), progress=progress)
        found = read(file, path.name, reading, original)
        own, version = sizes(file, path), file.version
    lender.release()
    timed = _times(path, against, lender, progress) if wish.speed else None
    subjects = (*_base(against, found, timed), _subject(path, own, found, timed))
    return Report(
        title=f"Measured by penjing: {path.name}",
        subjects=subjects,
        ratios=_ratios(subjects, timed),
        notes=(f"the figures of {path.name} are of {version}", *_confounded(path, subjects)),
        provenance={**told, **_provenance(version, command)},
    )


def _lent(stack: ExitStack, lender: Lender, folder: Path | None, dtype: torch.dtype | None) -> nn.Module | None:
    return None if folder is None else stack.enter_context(lender.lend(folder, dtype))


def _ids(file: OpenFile, place: Path, wish: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    """The texts, by the tokenizer of the checkpoint, or that beside the file, or the file's own."""
    try:
        return read_ids(tokenizer(place), wish)
    except DataError:
        reader = reader_of(file)
        if reader is None:
            if wish.texts:
                raise
            return {}, {"evaluation": "there is no tokenizer, so no text was read"}
    return read_ids(reader, wish)


def _times(path: Path, against: Path | None, lender: Lender, progress: Progress) -> SpeedResult:
    models = {_name(against): against} if against is not None else {}
    speed = file_speed(lender.threads, against)
    return compare_speed({**models, path.name: path}, speed=speed, progress=lambda d, n: progress("timing", d, n))


def file_speed(threads: int | None, folder: Path | None) -> Speed:
    """How files are timed: prompt and context that a checkpoint has positions for."""
    room = fitting(4096, read_contents(folder).config) if folder is not None else 4096
    usual = Speed(threads=threads, more=False, energy="no")
    return replace(usual, tokens=min(usual.tokens, room), context=max(1, min(usual.context, room - 64)))


def _name(folder: Path) -> str:
    return folder.resolve().name


def _timed(name: str, timed: SpeedResult | None) -> list[Measurement]:
    if timed is None:
        return [replace(FIGURES[n], note="speed was not asked for") for n in (*JOBS.values(), MEMORY)]
    kept = [f for f in timed.figures[name] if not f.name.startswith("joules")]
    return with_rates(kept, Speed().tokens)


def _subject(path: Path, own: list[Measurement], found: Read, timed: SpeedResult | None) -> Subject:
    return Subject(name=path.name, source=str(path), figures=(*own, *found.own, *_timed(path.name, timed)))


def _base(against: Path | None, found: Read, timed: SpeedResult | None) -> tuple[Subject, ...]:
    if against is None:
        return ()
    counted = costs(against)
    told = [f for f in counted.figures if f.name in ("parameters", "bytes")]
    figures = (*told, *found.base, *_timed(_name(against), timed))
    widths = counted.layout.sizes if counted.layout is not None else {}
    return (Subject(name=_name(against), source=str(against), figures=figures, widths=widths),)


def _ratios(subjects: tuple[Subject, ...], timed: SpeedResult | None) -> tuple[Measurement, ...]:
    if len(subjects) < 2:
        return ()
    base, other = subjects
    paired = perplexity_ratio(other, base)
    return (*exact_ratios(other, base), *((paired,) if paired else ()), *(timed.ratios if timed else ()))


def _confounded(path: Path, subjects: tuple[Subject, ...]) -> tuple[str, ...]:
    if len(subjects) < 2 or path.is_dir():  # a folder is run by what runs the checkpoint
        return ()
    return ("times and memory are of another runtime than the checkpoint's, so their ratios tell of both together",)


def _provenance(version: str, command: str) -> dict[str, Any]:
    from importlib.metadata import version as of

    from penjing import __version__

    return {
        "command": command or "called from Python",
        "versions": {"penjing": __version__, **{n: of(n) for n in ("torch", "transformers")}, "runtime": version},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
