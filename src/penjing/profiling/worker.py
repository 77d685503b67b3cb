"""One model in a process of its own, timed on request: `python -m penjing.profiling.worker SETTINGS`.

SETTINGS is one JSON object: folder, device, dtype, threads, cpus, tokens, context, and perhaps batch and warm. The
worker loads the model with the stock loader and answers one JSON line for each JSON line it reads; it ends when its
input ends. All other output goes to stderr.

A request is {"job", "repeats"} (seconds of each), {"job", "warm": true} (the same, of untimed runs before),
{"job", "for": seconds} (runs and seconds) or {"job", "inside": true} (seconds by module).
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from penjing.errors import PenjingError
from penjing.profiling.memory import AnonymousPeak, forget_peak, resident
from penjing.profiling.speed.jobs import Loaded, at_once, decode, fill, first_token, inside, prefill, prepare, run_for
from penjing.running.loading import load, stock_class

WARM_RUNS = 10
STEPS = 24
"""Steps of one run when a job runs for some time: few enough for the positions that are kept free."""
_RUNS: Mapping[str, Callable[[Loaded, int], list[float]]] = {
    "prefill": prefill,
    "decode": decode,
    "first_token": first_token,
    "batch_decode": decode,
    "batch_images": prefill,
}


def start(settings: Mapping[str, Any]) -> tuple[Loaded, dict[str, Any]]:
    """Load, run once and say what memory that took: the model with its filled cache, and the greeting."""
    import torch
    import transformers

    device = settings["device"]
    torch.set_num_threads(settings["threads"])
    # Numbers near zero would slow some weights and not others. Threads take this over from the one that makes them,
    # so it comes before the first product.
    torch.set_flush_denormal(True)
    transformers.utils.logging.disable_progress_bar()
    on_gpu = device.startswith("cuda")
    _touch(torch)
    stock_class(Path(settings["folder"]))  # importing its code is not the model's memory
    forget_peak()
    before = resident()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with AnonymousPeak() as anonymous:
        module = load(Path(settings["folder"]), device, settings["dtype"])
        loaded = prepare(module, device, settings["tokens"], settings["context"])
        loaded.clock = clock_of(settings)
        prefill(loaded, 1)
        loaded.cache = fill(loaded) if loaded.context is not None else None
    greeting = {
        "decodes": loaded.context is not None,
        "images": "pixel_values" in loaded.inputs,
        "what": loaded.what,
        "dtype": str(next(module.parameters()).dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "memory": {
            "before": before["now"],
            "peak": resident()["peak"],
            "anonymous_before": before["anonymous"],
            "anonymous_peak": anonymous.bytes,
            "device_peak": torch.cuda.max_memory_allocated(device) if on_gpu else None,
        },
    }
    return loaded, greeting


def clock_of(settings: Mapping[str, Any]) -> Callable[[], float]:
    """What tells the time: the wall's clock, or that of the seconds that this process had a processor."""
    return time.process_time if settings.get("clock") == "processor" else time.perf_counter


def _touch(torch: Any) -> None:
    """Let the matrix library set up its own buffers and threads before memory is counted."""
    torch.nn.functional.linear(torch.ones(64, 64), torch.ones(64, 64))


class _Jobs:
    """Runs jobs by name; the batch is made when it is first needed, so that it is not in the model's memory."""

    def __init__(self, loaded: Loaded, settings: Mapping[str, Any]) -> None:
        self._one = loaded
        self._many: Loaded | None = None
        self._settings = settings

    def _of(self, job: str) -> Loaded:
        if not job.startswith("batch_"):
            return self._one
        self._many = self._many or at_once(self._one, self._settings.get("batch", 8))
        return self._many

    def run(self, job: str, repeats: int) -> list[float]:
        return _RUNS[job](self._of(job), repeats)

    def warm(self, job: str) -> list[float]:
        """Runs until the time set has gone by, ten at most."""
        until, out = time.perf_counter() + self._settings.get("warm", 1.0), []
        while len(out) < WARM_RUNS and (not out or time.perf_counter() < until):
            out += self.run(job, 1)
        return out

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        job = asked["job"]
        if asked.get("warm"):
            return {"seconds": self.warm(job)}
        if "for" in asked:
            steps = STEPS if _RUNS[job] is decode else 0
            runs, seconds = run_for(lambda n: self.run(job, n), steps, asked["for"])
            return {"runs": runs, "seconds": seconds}
        if asked.get("inside"):
            return {"inside": inside(self._of(job), lambda: self.run(job, 1))}
        return {"seconds": self.run(job, asked["repeats"])}


def serve(lines: IO[str], out: IO[str], settings: Mapping[str, Any]) -> None:
    """Answer each request line until the input ends."""
    import torch

    with torch.inference_mode():
        try:
            loaded, greeting = start(settings)
        except PenjingError as error:  # nothing is broken: there is no model to time, and the parent says why
            say(out, {"refused": str(error)})
            return
        say(out, greeting)
        jobs = _Jobs(loaded, settings)
        gc.collect()
        gc.disable()  # a collection inside a timed pass would be counted as the model's
        for line in lines:
            say(out, jobs.answer(json.loads(line)))


def say(out: IO[str], value: Mapping[str, Any]) -> None:
    """Write one answer."""
    out.write(json.dumps(value) + "\n")
    out.flush()


def answering(settings: Mapping[str, Any]) -> IO[str]:
    """Pin the process and keep stdout for answers alone: where they go."""
    if hasattr(os, "sched_setaffinity") and settings["cpus"]:
        os.sched_setaffinity(0, settings["cpus"])
    os.environ["HF_HUB_OFFLINE"] = "1"
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    return out


def main() -> None:
    """Serve over stdin and stdout."""
    settings = json.loads(sys.argv[1])
    serve(sys.stdin, answering(settings), settings)


if __name__ == "__main__":
    main()
