"""All figures of one model, or of several beside an original."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penjing.core import Measurement, Subject
from penjing.errors import MeasureError
from penjing.evaluate.costs import Costs, costs, generates
from penjing.evaluate.fidelity import AGREEMENT, DIVERGENCE, fidelity
from penjing.evaluate.perplexity import BITS, PERPLEXITY, Blocks, Protocol, Text, cut, perplexity
from penjing.evaluate.scoring import check_fits
from penjing.pipeline.comparison import ratios_to_base
from penjing.profiling.speed import FIGURES, JOBS, MEMORY, Speed, SpeedResult, compare_speed
from penjing.running.loading import load

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Subjects in the order given, the original first, and each other one's ratios to it."""

    subjects: tuple[Subject, ...]
    ratios: tuple[Measurement, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """The settings of one call, and how to tell of progress."""

    texts: Mapping[str, Text]
    protocols: tuple[Protocol, ...]
    device: str
    dtype: str
    progress: Progress


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

    Times are interleaved and perplexities are of the same windows. For the first text and protocol, each other
    model's divergence from the original and agreement with it are taken too.

    Raises:
        CheckpointError: a folder cannot be read.
        DataError: a text is shorter than a window.
        MeasureError: the window asked for is longer than a model's positions.
    """
    folders = _named([Path(base), *map(Path, others)])
    job = _Job(texts=texts or {}, protocols=tuple(protocols), device=device, dtype=dtype, progress=progress or _silent)
    counted: dict[str, Costs] = {}
    for i, (name, folder) in enumerate(folders.items()):
        job.progress("counting", i, len(folders))
        counted[name] = costs(folder)
    quality = _quality(folders, counted, job)
    settings = _speed_settings(speed, counted, job)
    timed, why = _timed(folders, settings, job)
    subjects = tuple(
        Subject(
            name=name,
            source=str(folder),
            figures=(*counted[name].figures, *quality[name], *(timed.figures[name] if timed else _untimed(why))),
            widths=layout.sizes if (layout := counted[name].layout) else {},
        )
        for name, folder in folders.items()
    )
    return Comparison(subjects=subjects, ratios=ratios_to_base(subjects, counted, timed, settings))


def _silent(what: str, done: int, total: int) -> None:
    pass


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folder names, with a number where two are alike."""
    out: dict[str, Path] = {}
    for folder in folders:
        name, n = folder.resolve().name, 2
        while name in out:
            name, n = f"{folder.resolve().name} ({n})", n + 1
        out[name] = folder
    return out


def _quality(
    folders: Mapping[str, Path], counted: Mapping[str, Costs], job: _Job
) -> dict[str, tuple[Measurement, ...]]:
    """Each model's perplexities and, but for the first, its fidelity to the first."""
    out: dict[str, list[Measurement]] = {}
    first, original = next(iter(folders)), None
    for name, folder in folders.items():
        why = "" if generates(counted[name].config) else "the model does not generate text"
        why = why or ("" if job.texts and job.protocols else "no text was given")
        if why:
            out[name] = [replace(PERPLEXITY, note=why)]
            continue
        module = load(folder, job.device, job.dtype)
        out[name] = _later(module, name, job)
        if name == first:
            original = module
        elif original is None:
            out[name] = _perplexity(module, name, _first(job), job) + out[name]
        else:
            own, base = _beside(original, module, name, job)
            out[name] = own + out[name]
            if not any(f.name == "perplexity" for f in out[first]):
                out[first] = base + out[first]
    if original is not None and not any(f.name == "perplexity" for f in out[first]):
        out[first] = _perplexity(original, first, _first(job), job) + out[first]
    return {name: tuple(found) for name, found in out.items()}


def _first(job: _Job) -> tuple[str, Protocol]:
    """The text and protocol of the figure that is just called perplexity."""
    return next(iter(job.texts)), job.protocols[0]


def _later(module: Any, name: str, job: _Job) -> list[Measurement]:
    """Perplexities on all pairs of text and protocol but the first, once every pair has been found to fit."""
    pairs = [(t, p) for t in job.texts for p in job.protocols]
    for text, protocol in pairs:
        check_fits(module, cut(module, job.texts[text], protocol)[0])
    return [f for i, pair in enumerate(pairs[1:], 2) for f in _perplexity(module, name, pair, job, i)]


def _perplexity(module: Any, model: str, on: tuple[str, Protocol], job: _Job, place: int = 1) -> list[Measurement]:
    """The perplexity of one model on one text, and its bits per byte if the protocol gives them."""
    text, protocol = on
    key = "perplexity" if place == 1 else f"perplexity:{text}:{type(protocol).__name__.lower()}:{place}"
    label = PERPLEXITY.label if place == 1 else f"{PERPLEXITY.label} ({text.replace('_', ' ')})"
    what = f"perplexity of {model} on {text}"
    try:
        found = perplexity(
            module, job.texts[text], protocol=protocol, name=key, progress=lambda d, n: job.progress(what, d, n)
        )
    except MeasureError as error:
        return [replace(PERPLEXITY, name=key, label=label, note=str(error))]
    out = [replace(found, label=label, details={**found.details, "text": text})]
    if place == 1 and "bits_per_byte" in found.details:
        out.append(_bits(found))
    return out


def _beside(original: Any, module: Any, name: str, job: _Job) -> tuple[list[Measurement], list[Measurement]]:
    """The first perplexity and the fidelity of a model, and the original's perplexity from the same pass."""
    text, protocol = _first(job)
    try:
        found = fidelity(
            original,
            module,
            job.texts[text],
            protocol=protocol,
            progress=lambda d, n: job.progress(f"fidelity of {name}", d, n),
        )
    except MeasureError as error:
        missing = [replace(bare, note=str(error)) for bare in (DIVERGENCE, AGREEMENT)]
        return [*_perplexity(module, name, (text, protocol), job), *missing], []
    kept = [replace(f, details={**f.details, "text": text}) for f in (found.base, found.other)]
    base, other = ([f, _bits(f)] if "bits_per_byte" in f.details else [f] for f in kept)
    return [*other, found.divergence, found.agreement], base


def _bits(found: Measurement) -> Measurement:
    return replace(
        BITS,
        value=found.details["bits_per_byte"],
        n=found.details["bytes"],
        spread=found.details["bits_per_byte_error"],
        spread_kind="standard error",
        protocol=found.protocol,
    )


def _speed_settings(speed: bool | Speed, counted: Mapping[str, Costs], job: _Job) -> Speed | None:
    """The settings given, or defaults that fit in every model's positions; None for no timing."""
    if isinstance(speed, Speed):
        return speed
    if not speed:
        return None
    known = [c.config.get("max_position_embeddings") for c in counted.values()]
    room = min((p for p in known if isinstance(p, int)), default=4096)
    usual = Speed(device=job.device, dtype=job.dtype)
    return replace(usual, tokens=min(usual.tokens, room), context=max(1, min(usual.context, room - 32)))


def _timed(folders: Mapping[str, Path], speed: Speed | None, job: _Job) -> tuple[SpeedResult | None, str]:
    if speed is None:
        return None, "speed was not asked for"
    try:
        return compare_speed(folders, speed=speed, progress=lambda d, n: job.progress("timing", d, n)), ""
    except MeasureError as error:
        return None, str(error)


def _untimed(why: str) -> list[Measurement]:
    return [replace(FIGURES[name], note=why) for name in (*JOBS.values(), MEMORY)]
