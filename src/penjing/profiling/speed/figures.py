"""Raw timings and what the workers said, as figures."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penjing.core import Measurement
from penjing.core.report import Better
from penjing.evaluate.statistics import interquartile_range, median, quantile
from penjing.profiling.speed.ratios import RATES, null_of
from penjing.profiling.speed.settings import JOBS, Timings

MORE = {"first_token": "first_token_seconds", **RATES}
"""Job -> figure, for the jobs that only every second round does."""

MEMORY = "peak_memory_bytes"
_TOLD: tuple[tuple[str, str, str, Better], ...] = (
    (JOBS["prefill"], "seconds", "Time to read the prompt", "lower"),
    (JOBS["decode"], "seconds per token", "Time per generated token", "lower"),
    (MORE["first_token"], "seconds", "Time to the first token", "lower"),
    (RATES["batch_decode"], "tokens per second", "Tokens per second, batched", "higher"),
    (RATES["batch_images"], "images per second", "Images per second", "higher"),
    (MEMORY, "bytes", "Peak memory", "lower"),
)
FIGURES = {
    name: Measurement(name=name, value=None, unit=unit, label=label, better=better, group="time")
    for name, unit, label, better in _TOLD
}
"""Name -> the figure without its value."""
ENOUGH_RUNS, ENOUGH_SECONDS = 30, 3.0


def times(name: str, timings: Timings) -> list[Measurement]:
    """The times and rates of one model; prefill and decode have no value and a note where they do not apply."""
    out = []
    for job, figure in JOBS.items():
        if job in timings.seconds:
            out.append(_time(name, job, figure, timings))
        else:
            note = "the model does not generate text" if timings.reading else "not every model generates text"
            out.append(replace(FIGURES[figure], note=note))
    return out + [_time(name, job, figure, timings) for job, figure in MORE.items() if job in timings.seconds]


def _time(name: str, job: str, figure: str, timings: Timings) -> Measurement:
    rounds = timings.seconds[job][name]
    every = [s for r in rounds for s in r]
    null = null_of(job, timings)
    values = [timings.batch / s for s in every] if job in RATES else every
    few = len(every) < ENOUGH_RUNS and sum(every) < ENOUGH_SECONDS
    protocol = timings.protocol_of(name)
    label = timings.reading if job == "prefill" and timings.reading else FIGURES[figure].label
    return replace(
        FIGURES[figure],
        label=label,
        value=median(values),
        n=len(every),
        spread=interquartile_range(values),
        spread_kind="inter-quartile range",
        protocol=f"{protocol} at-once={timings.batch}" if job in RATES else protocol,
        note=f"of {len(every)} runs in {sum(every):.2f} seconds, fewer than {ENOUGH_RUNS} or {ENOUGH_SECONDS:g} s"
        if few
        else "",
        details={
            "least": min(every),
            "p10": quantile(every, 0.1),
            "p90": quantile(every, 0.9),
            "seconds": sum(every),
            "rounds": len(rounds),
            "null": null.value,
            "null_interval": [null.low, null.high],
            **timings.details,
        },
    )


def memory(greeting: Mapping[str, Any], protocol: str) -> Measurement:
    """The largest memory that loading and one pass took, above what the process had before."""
    said = greeting["memory"]
    on_device = said["device_peak"] is not None
    value = said["device_peak"] if on_device else said["peak"] - said["before"]
    how = "largest allocation on the device" if on_device else "peak resident memory of a fresh process above its own"
    return replace(
        FIGURES[MEMORY],
        value=float(value),
        n=1,
        protocol=f"memory/1 {how}, load and one pass; {protocol}",
        details={**said, "anonymous": said["anonymous_peak"] - said["anonymous_before"]},
    )
