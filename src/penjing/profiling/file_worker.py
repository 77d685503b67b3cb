"""One file for another runtime, in a process of its own, timed there on request.

`python -m penjing.profiling.file_worker SETTINGS` speaks as `penjing.profiling.worker` does: "folder" names the file,
and the jobs are prefill and decode.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from penjing.errors import PenjingError
from penjing.exporters.runtime import TimedFile, runners
from penjing.profiling.memory import AnonymousPeak, forget_peak, resident
from penjing.profiling.worker import STEPS, WARM_RUNS, answering, clock_of, say


def start(settings: Mapping[str, Any]) -> tuple[TimedFile, dict[str, Any]]:
    """Load, run once and say what memory that took.

    Raises:
        PenjingError: the file does not run.
    """
    import torch

    torch.set_num_threads(settings["threads"])
    path = Path(settings["folder"])
    runner = runners()[path.suffix]
    runner.load()
    forget_peak()
    before = resident()
    with AnonymousPeak() as anonymous:
        file = runner.timed(
            path, prompt=settings["tokens"], context=settings["context"], threads=settings["threads"]
        )
        file.clock = clock_of(settings)
        file.prefill()
        if file.decodes:
            file.decode(1)
    return file, {
        "decodes": file.decodes,
        "images": file.images,
        "what": file.what,
        "runtime": file.version,
        "memory": {
            "before": before["now"],
            "peak": resident()["peak"],
            "anonymous_before": before["anonymous"],
            "anonymous_peak": anonymous.bytes,
            "device_peak": None,
        },
    }


def answer(file: TimedFile, asked: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What one request gives."""
    job = asked["job"]
    if asked.get("warm"):
        until, out = time.perf_counter() + settings.get("warm", 1.0), []
        while len(out) < WARM_RUNS and (not out or time.perf_counter() < until):
            out += _run(file, job, 1)
        return {"seconds": out}
    if "for" in asked:
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < asked["for"]:
            done += len(_run(file, job, STEPS)) + 1 if job == "decode" else len(_run(file, job, 1))
        return {"runs": done, "seconds": time.perf_counter() - begun}
    return {"seconds": _run(file, job, asked["repeats"])}


def _run(file: TimedFile, job: str, repeats: int) -> list[float]:
    return file.decode(repeats) if job == "decode" else [file.prefill() for _ in range(repeats)]


def serve(lines: IO[str], out: IO[str], settings: Mapping[str, Any]) -> None:
    """Answer each request line until the input ends."""
    try:
        file, greeting = start(settings)
    except PenjingError as error:  # nothing is broken: the parent says why
        say(out, {"refused": str(error)})
        return
    say(out, greeting)
    for line in lines:
        say(out, answer(file, json.loads(line), settings))


def main() -> None:
    """Serve over stdin and stdout."""
    settings = json.loads(sys.argv[1])
    serve(sys.stdin, answering(settings), settings)


if __name__ == "__main__":
    main()
