"""What is found out about a model before anything is done to it."""

from pathlib import Path
from typing import Any

from penjing.api.arguments import Model
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.profiling import roofline
from penjing.profiling.why import Why, dtype_of, explain, measure_parts
from penjing.running.source import resolve


def profile(
    model: Model, *, context: int = 512, prompt: int = 128, calibrate: bool = False, timed: bool = False,
    example: Any = None, table: Path | None = None, progress: Progress = silent,
) -> Why:  # fmt: skip
    """Where bytes, multiply-adds and time go, which cut would pay, and what zeros do.

    For one more token after `context`, and for a `prompt` of so many. Times are predicted once this machine was
    calibrated, which `calibrate` does in some half a minute; with `timed` the model is run and its parts are timed.
    A config without weights is enough for the rest.

    Raises:
        PenjingError: the model cannot be read, its axes cannot be derived, or it cannot be run.
    """
    source = resolve(model, example=example, table=table, weights=False)
    dtype = dtype_of(source)
    if calibrate:
        machine = roofline.calibrate(dtype=dtype, progress=lambda d, n: progress("calibrating this machine", d, n))
    else:
        machine = roofline.find(dtype=dtype)
    measured = None
    if timed:
        measured = measure_parts(source, cache_folder(), context=context, tokens=prompt, progress=progress)
    return explain(source, context=context, tokens=prompt, profile=machine, measured=measured, progress=progress)
