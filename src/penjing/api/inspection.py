"""What is found out about a model before anything is done to it."""

from typing import Any

from penjing.api.keywords import Model
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.pipeline.asking import Profiling
from penjing.pipeline.request import Run, Source
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.values import open_source
from penjing.profiling import roofline
from penjing.profiling.speed.settings import Speed
from penjing.profiling.why import Why, dtype_of, explain, measure_parts
from penjing.running.placing import find_device


@shows_progress
def profile(
    model: Model, *, context: int = 512, prompt: int = 128, calibrate: bool = False, timed: bool = False,
    example: Any = None, run: Run | None = None, progress: Progress = silent,
) -> Why:  # fmt: skip
    """Where bytes, multiply-adds and time go, which cut would pay, and what zeros do.

    For one more token after `context`, and for a `prompt` of so many. Times are predicted once this machine was
    calibrated, which `calibrate` does in some half a minute; with `timed` the model is run and its parts are timed.
    A config without weights is enough for the rest.

    Raises:
        PenjingError: the model cannot be read, its axes cannot be derived, or it cannot be run.
    """
    source = model if isinstance(model, Source) else Source(model=model, example=example)
    asked = Profiling(context=context, prompt=prompt, calibrate=calibrate, timed=timed)
    return profiled(source, asked, run or Run(), progress=progress)


def profiled(source: Source, asked: Profiling, run: Run, *, progress: Progress = silent) -> Why:
    """What is asked of a model's costs.

    Raises:
        PenjingError: as `profile`.
    """
    with surroundings(threads=run.threads, offline=run.offline):
        opened = open_source(source, weights=False)
        dtype, threads = dtype_of(opened), run.threads
        if asked.calibrate:
            told = "calibrating this machine"
            machine = roofline.calibrate(
                threads=threads, dtype=dtype, progress=lambda done, total: progress(told, done, total)
            )
        else:
            machine = roofline.find(threads=threads, dtype=dtype)
        device = find_device(run.device)
        speed = Speed(
            device=device, dtype=run.dtype or "auto", threads=threads, context=asked.context, tokens=asked.prompt
        )
        timed = measure_parts(opened, cache_folder(), speed, progress=progress) if asked.timed else None
        return explain(
            opened, context=asked.context, tokens=asked.prompt, profile=machine, measured=timed, progress=progress
        )
