"""Prefill and decode seconds of several models, taken in turn, with the first one twice as a null.

Times on a shared machine drift. So every model sits in a process of its own and the rounds go A B C A', then
backwards; a second copy A' of the base shows what difference no difference makes. A ratio that is not clearly
larger than that is withheld.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.evaluate.children import Child, available_bytes, physical_cpus, weight_files
from penjing.evaluate.statistics import Interval, interquartile_range, median, paired_ratio, why_withheld

JOBS = {"prefill": "prefill_seconds", "decode": "decode_seconds_per_token"}
_LEAST_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How speed is measured, batch 1: a pass over `tokens`, and steps of one token after `context` tokens.

    `threads` None takes one per physical core; the process is pinned to as many CPUs. `rounds` ends early, after
    five at least, once `limit` seconds have gone by. `timeout` seconds without an answer end the measurement.
    """

    tokens: int = 128
    context: int = 128
    rounds: int = 15
    prefills: int = 2
    steps: int = 8
    threads: int | None = None
    device: str = "cpu"
    dtype: str = "auto"
    limit: float = 120.0
    timeout: float = 900.0


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds by job and model: one list of repeats per round. `null` is the second copy of the first model."""

    seconds: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
    null: Mapping[str, Sequence[Sequence[float]]]
    protocol: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SpeedResult:
    """Each model's figures, the ratios of every other model to the first, and the raw timings."""

    figures: Mapping[str, tuple[Measurement, ...]]
    ratios: tuple[Measurement, ...]
    timings: Timings


def compare_speed(
    models: Mapping[str, Path], *, speed: Speed | None = None, progress: Callable[[int, int], None] | None = None
) -> SpeedResult:
    """Times of the models in these folders; the first is the base of the ratios, and is loaded twice.

    `progress` gets (done, all) rounds. All models are in memory together.

    Raises:
        MeasureError: they do not fit in memory, a worker died or did not answer.
    """
    speed = speed or Speed()
    _check_room(models, speed)
    names = list(models)
    cpus = physical_cpus()
    cpus = cpus[: speed.threads] if speed.threads else cpus
    settings = {
        "device": speed.device,
        "dtype": speed.dtype,
        "threads": speed.threads or len(cpus),
        "cpus": cpus,
        "tokens": speed.tokens,
        "context": speed.context,
    }
    load_before = _load_average()
    with contextlib.ExitStack() as stack:
        greetings: dict[str, dict[str, Any]] = {}
        children = []
        for name, folder in [*models.items(), (names[0], models[names[0]])]:
            child = Child(name, {**settings, "folder": str(folder)}, timeout=speed.timeout)
            children.append(stack.enter_context(child))
            greetings.setdefault(name, child.greeting())  # the copy's is read too, and not kept
        jobs = ["prefill", "decode"] if all(g["decodes"] for g in greetings.values()) else ["prefill"]
        taken = _rounds(children, jobs, speed, progress)
    seconds = {job: dict(zip(names, rows, strict=False)) for job, rows in taken.items()}
    timings = Timings(
        seconds=seconds,
        null={job: rows[-1] for job, rows in taken.items()},
        protocol=_protocol(speed, settings, greetings[names[0]]),
        details={"load_average_before": load_before, "load_average_after": _load_average(), "cpus": cpus},
    )
    figures = {n: (*_times(n, timings), _memory(greetings[n], timings.protocol)) for n in names}
    return SpeedResult(figures=figures, ratios=ratios(timings), timings=timings)


def _check_room(models: Mapping[str, Path], speed: Speed) -> None:
    if not models:
        raise MeasureError("there is no model to time; name at least one folder")
    sizes = [sum(p.stat().st_size for p in weight_files(folder)) for folder in models.values()]
    needed, room = sum(sizes) + sizes[0], available_bytes()
    if speed.device == "cpu" and room is not None and needed > 0.9 * room:
        raise MeasureError(
            f"the models and a second copy of the first take {needed / 1e9:.1f} GB, {room / 1e9:.1f} GB are free; "
            "they are timed in turn and must all be in memory: measure fewer at once, or on a larger machine"
        )


def _rounds(
    children: Sequence[Child], jobs: Sequence[str], speed: Speed, progress: Callable[[int, int], None] | None
) -> dict[str, list[list[list[float]]]]:
    """Job -> child -> round -> seconds; odd rounds go backwards, so that a place in the round favours nobody."""
    repeats = {"prefill": speed.prefills, "decode": speed.steps}
    out: dict[str, list[list[list[float]]]] = {job: [[] for _ in children] for job in jobs}
    begun = time.monotonic()
    for i in range(speed.rounds):
        if i >= _LEAST_ROUNDS and time.monotonic() - begun > speed.limit:
            break
        order = range(len(children)) if i % 2 == 0 else reversed(range(len(children)))
        for place in order:
            for job in jobs:
                out[job][place].append(children[place].ask(job, repeats[job]))
        if progress:
            progress(i + 1, speed.rounds)
    return out


def ratios(timings: Timings) -> tuple[Measurement, ...]:
    """For each job and each model but the first: its time over the first's, or why that is withheld.

    In each round the fastest repeat counts, since interference only ever adds time; the figure is the median over
    rounds of the ratio within a round, with a 95 % bootstrap interval over rounds. `statistics.why_withheld` says
    when it is withheld; the value is then None and the note tells why.
    """
    out = []
    for job, by_model in timings.seconds.items():
        names = list(by_model)
        base = [min(r) for r in by_model[names[0]]]
        null = paired_ratio([min(r) for r in timings.null[job]], base)
        for name in names[1:]:
            effect = paired_ratio([min(r) for r in by_model[name]], base)
            out.append(_ratio(job, (name, names[0]), effect, null, timings))
    return tuple(out)


def _ratio(job: str, names: tuple[str, str], effect: Interval, null: Interval, timings: Timings) -> Measurement:
    note = why_withheld(effect, null)
    return Measurement(
        name=f"{job}_ratio",
        value=None if note else effect.value,
        unit="times the original's seconds",
        n=len(timings.null[job]),
        spread=effect.high - effect.low,
        spread_kind="width of the 95 % interval",
        protocol=timings.protocol,
        note=note,
        details={
            "subject": names[0],
            "base": names[1],
            "interval": [effect.low, effect.high],
            "null": null.value,
            "null_interval": [null.low, null.high],
            **timings.details,
        },
    )


def _times(name: str, timings: Timings) -> list[Measurement]:
    out = []
    for job, figure in JOBS.items():
        unit = "seconds per token" if job == "decode" else "seconds"
        if job not in timings.seconds:
            out.append(Measurement(name=figure, value=None, unit=unit, note="not every model generates text"))
            continue
        rounds = timings.seconds[job][name]
        every = [s for r in rounds for s in r]
        first = next(iter(timings.seconds[job].values()))
        null = paired_ratio([min(r) for r in timings.null[job]], [min(r) for r in first])
        out.append(
            Measurement(
                name=figure,
                value=median(every),
                unit=unit,
                n=len(every),
                spread=interquartile_range(every),
                spread_kind="inter-quartile range",
                protocol=timings.protocol,
                details={
                    "least": min(every),
                    "rounds": len(rounds),
                    "null": null.value,
                    "null_interval": [null.low, null.high],
                    **timings.details,
                },
            )
        )
    return out


def _memory(greeting: Mapping[str, Any], protocol: str) -> Measurement:
    memory = greeting["memory"]
    on_device = memory["device_peak"] is not None
    value = memory["device_peak"] if on_device else memory["peak"] - memory["before"]
    how = "largest allocation on the device" if on_device else "peak resident memory of a fresh process above its own"
    return Measurement(
        name="peak_memory_bytes",
        value=float(value),
        unit="bytes",
        n=1,
        protocol=f"memory/1 {how}, load and one pass; {protocol}",
        details=dict(memory),
    )


def _protocol(speed: Speed, settings: Mapping[str, Any], greeting: Mapping[str, Any]) -> str:
    what = "image" if greeting["images"] else f"tokens={speed.tokens} context={speed.context}"
    return (
        f"speed/1 interleaved batch=1 {what} rounds={speed.rounds} prefills={speed.prefills} steps={speed.steps} "
        f"threads={settings['threads']} device={speed.device} dtype={greeting['dtype']} torch={greeting['torch']} "
        f"transformers={greeting['transformers']}"
    )


def _load_average() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
