"""Prefill and decode seconds of several models, taken in turn, with the first one twice as a null.

Times on a shared machine drift. So every model sits in a process of its own and the rounds go A B C A', then
backwards; a second copy A' of the base shows what difference no difference makes. A ratio that is not clearly
larger than that is withheld.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.profiling import energy
from penjing.profiling.speed import figures
from penjing.profiling.speed.ratios import ratios
from penjing.profiling.speed.settings import Speed, SpeedResult, Timings
from penjing.running.children import Child, available_bytes, physical_cpus, weight_files

_LEAST_ROUNDS = 5
FILES = "penjing.profiling.file_worker"
"""The process that times a file in its runtime."""


def compare_speed(
    models: Mapping[str, Path], *, speed: Speed | None = None, progress: Callable[[int, int], None] | None = None
) -> SpeedResult:
    """Times of the models in these folders; the first is the base of the ratios, and is loaded twice.

    A file for another runtime is timed in that runtime.

    `progress` gets (done, all) rounds. All models are in memory together.

    Raises:
        MeasureError: they do not fit in memory, a worker died or did not answer.
    """
    speed = speed or Speed()
    _check_room(models, speed)
    names = list(models)
    settings = _settings(speed)
    load_before = _load_average()
    with contextlib.ExitStack() as stack:
        greetings: dict[str, dict[str, Any]] = {}
        children = []
        for name, folder in [*models.items(), (names[0], models[names[0]])]:
            module = FILES if folder.is_file() else "penjing.profiling.worker"
            child = Child(name, {**settings, "folder": str(folder)}, timeout=speed.timeout, module=module)
            children.append(stack.enter_context(child))
            greetings.setdefault(name, child.greeting())  # the copy's is read too, and not kept
        taken = _rounds(children, *_jobs(list(greetings.values()), speed), speed, progress)
        images = all(g["images"] for g in greetings.values())
        used = _energy(children[:-1], "decode" in taken, images, speed)
    timings = Timings(
        seconds={job: dict(zip(names, rows, strict=False)) for job, rows in taken.items()},
        null={job: rows[-1] for job, rows in taken.items()},
        protocol=_protocol(speed, settings, greetings[names[0]]),
        details={
            "load_average_before": load_before,
            "load_average_after": _load_average(),
            "cpus": settings["cpus"],
            "threads": settings["threads"],
        },
        batch=speed.batch,
        reading=_reading(greetings[names[0]]),
        runtimes={n: g["runtime"] for n, g in greetings.items() if "runtime" in g},
    )
    memory = {n: figures.memory(greetings[n], timings.protocol_of(n)) for n in names}
    found = {n: (*figures.times(n, timings), memory[n], used[n]) for n in names}
    return SpeedResult(figures=found, ratios=ratios(timings), timings=timings)


def _reading(greeting: Mapping[str, Any]) -> str:
    """What a pass is called, where it is not a prompt that is read; empty where it is."""
    if greeting["images"]:
        return "Time per image"
    if not greeting["decodes"]:
        return "Time per pass"
    return "" if greeting.get("what", "tokens").startswith("tokens") else "Time to read the input"


def _settings(speed: Speed) -> dict[str, Any]:
    cpus = physical_cpus()
    cpus = cpus[: speed.threads] if speed.threads else cpus
    return {
        "device": speed.device,
        "dtype": speed.dtype,
        "threads": speed.threads or len(cpus),
        "cpus": cpus,
        "tokens": speed.tokens,
        "context": speed.context,
        "batch": speed.batch,
        "warm": speed.warm,
        "clock": speed.clock,
    }


def _check_room(models: Mapping[str, Path], speed: Speed) -> None:
    if not models:
        raise MeasureError("there is no model to time; name at least one folder")
    files = [[folder] if folder.is_file() else weight_files(folder) for folder in models.values()]
    sizes = [sum(p.stat().st_size for p in each) for each in files]
    needed, room = sum(sizes) + sizes[0], available_bytes()
    if speed.device == "cpu" and room is not None and needed > 0.9 * room:
        raise MeasureError(
            f"the models and a second copy of the first take {needed / 1e9:.1f} GB, {room / 1e9:.1f} GB are free; "
            "they are timed in turn and must all be in memory: measure fewer at once, or on a larger machine"
        )


def _jobs(greetings: Sequence[Mapping[str, Any]], speed: Speed) -> tuple[list[str], list[str]]:
    """The jobs of every round, and those of every second one: what all of the models can do."""
    main, more = ["prefill"], []
    if all(g["decodes"] for g in greetings):
        main.append("decode")
        more = ["first_token", "batch_decode"]
    elif all(g["images"] for g in greetings):
        more = ["batch_images"]
    return main, more if speed.more and not any("runtime" in g for g in greetings) else []


def _rounds(
    children: Sequence[Child],
    main: Sequence[str],
    more: Sequence[str],
    speed: Speed,
    progress: Callable[[int, int], None] | None,
) -> dict[str, list[list[list[float]]]]:
    """Job -> child -> round -> seconds; odd rounds go backwards, so that a place in the round favours nobody.

    The jobs in `more` are done in rounds 0, 3, 4, 7, 8 ...: as often forwards as backwards.
    """
    repeats = {"prefill": speed.prefills, "decode": speed.steps}
    for job in (*main, *more):
        warm = [min(child.warm(job)) for child in children]
        repeats.setdefault(job, _needed(min(warm), speed.rounds))
    out: dict[str, list[list[list[float]]]] = {job: [[] for _ in children] for job in (*main, *more)}
    begun = time.monotonic()
    for i in range(speed.rounds):
        if i >= _LEAST_ROUNDS and time.monotonic() - begun > speed.limit:
            break
        order = range(len(children)) if i % 2 == 0 else reversed(range(len(children)))
        jobs = [*main, *more] if i % 4 in (0, 3) else main
        for place in order:
            for job in jobs:
                out[job][place].append(children[place].ask(job, repeats[job]))
        if progress:
            progress(i + 1, speed.rounds)
    return out


def _needed(seconds: float, rounds: int) -> int:
    """Repeats per round such that half of the rounds give 30 runs or 3 seconds, whichever is less."""
    runs = min(figures.ENOUGH_RUNS, figures.ENOUGH_SECONDS / max(seconds, 1e-9))
    return max(1, math.ceil(runs / max(1, rounds // 2)))


def _energy(children: Sequence[Child], decodes: bool, images: bool, speed: Speed) -> dict[str, Measurement]:
    """Each model's energy per token or image, one after the other, or why there is none."""
    unit = "token" if decodes else "image" if images else "pass"
    if speed.energy == "no":
        return {c.name: energy.missing(unit, "energy was not asked for") for c in children}
    counters = energy.counters(device=speed.device)
    job = "decode" if decodes else "prefill"
    if not counters and speed.energy != "estimate":
        return {c.name: energy.missing(unit) for c in children}
    with contextlib.ExitStack() as stack:
        for counter in counters:
            stack.callback(counter.close)
        # Without work for as long as with it: what the machine draws anyway.
        idle = energy.watts(counters, lambda: time.sleep(speed.energy_seconds)) if counters else None
        return {
            c.name: energy.measured(
                counters, lambda c=c: c.run_for(job, speed.energy_seconds), unit=unit, idle=idle, device=speed.device
            )
            for c in children
        }


def _protocol(speed: Speed, settings: Mapping[str, Any], greeting: Mapping[str, Any]) -> str:
    clock = "" if speed.clock == "wall" else f"clock={speed.clock} "
    what = greeting.get("what") or f"tokens={speed.tokens} context={speed.context}"
    made_by = " ".join(f"{name}={greeting[name]}" for name in ("dtype", "torch", "transformers") if name in greeting)
    return (
        f"speed/2 interleaved batch=1 {what} rounds={speed.rounds} prefills={speed.prefills} steps={speed.steps} "
        f"threads={settings['threads']} device={speed.device} {clock}{made_by}".rstrip()
    )


def _load_average() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
