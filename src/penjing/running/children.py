"""Child processes that hold one model each, asked over a pipe, and gone when the parent is."""

import contextlib
import json
import logging
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from penjing.errors import MeasureError

ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)(:|$)")
"""The line of a traceback that says what was wrong."""

log = logging.getLogger(__name__)


def physical_cpus() -> list[int]:
    """One of the CPUs this process may use for each physical core: two threads of one core are not two cores."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    seen: set[str] = set()
    out = []
    for cpu in allowed:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = path.read_text().strip() if path.exists() else str(cpu)
        if core not in seen:
            seen.add(core)
            out.append(cpu)
    return out


class Child:
    """A worker process: `ask` sends one request and waits for its answer. Use it in a `with` block.

    The child has a session of its own, so Ctrl-C reaches only the parent, which then ends the child; it also ends
    by itself when its input closes.

    Raises:
        MeasureError: the worker died (with the end of what it wrote) or did not answer in time.
    """

    def __init__(
        self, name: str, settings: Mapping[str, Any], *, timeout: float, module: str = "penjing.profiling.worker"
    ) -> None:
        self.name = name
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`, lives as long as the child
        threads = str(settings.get("threads", 1))
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(dict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        with contextlib.suppress(ValueError):  # closed under us while ending
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def greeting(self) -> dict[str, Any]:
        """What the worker says of itself once its model is loaded."""
        return self._answer("loading")

    def ask(self, job: str, repeats: int) -> list[float]:
        """Seconds of each repeat of a job, such as "prefill" or "decode"."""
        return self.request({"job": job, "repeats": repeats})["seconds"]

    def warm(self, job: str) -> list[float]:
        """Let a job run until the model is warm: seconds of each run, not to be counted."""
        return self.request({"job": job, "warm": True})["seconds"]

    def run_for(self, job: str, seconds: float) -> tuple[int, float]:
        """Let a job run for some seconds: how many runs, and how many seconds that took."""
        answer = self.request({"job": job, "for": seconds})
        return answer["runs"], answer["seconds"]

    def request(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer."""
        doing = str(asked.get("job", "working"))
        try:
            assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
            self._process.stdin.write(json.dumps(dict(asked)) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, OSError):
            raise self._died(doing) from None
        return self._answer(doing)

    def _answer(self, doing: str) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=self._timeout)
        except queue.Empty:
            raise MeasureError(
                f"{self.name} gave no answer within {self._timeout:g} seconds while {doing}; "
                "measure fewer tokens, or allow more time"
            ) from None
        if line is None:
            raise self._died(doing)
        answer = json.loads(line)
        if "refused" in answer:
            raise MeasureError(f"{self.name} was not run: {answer['refused']}")
        return answer

    def _died(self, doing: str) -> MeasureError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        self._errors.seek(0)
        tail = self._errors.read()[-4000:].decode("utf-8", "replace").strip().splitlines()[-12:]
        log.info("the process that ran %s said:\n%s", self.name, "\n".join(tail))
        last = next((line.strip() for line in reversed(tail) if ERROR.match(line)), tail[-1] if tail else "nothing")
        return MeasureError(
            f"the process that ran {self.name} ended with code {self._process.returncode} while {doing}; "
            f"it said: {last[:300]}"
        )

    def close(self) -> None:
        """End the process and wait until it is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def available_bytes() -> int | None:
    """Memory that may still be taken, or None where the system does not say."""
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def weight_files(folder: Path) -> Sequence[Path]:
    """The files with weights in a folder: safetensors if there are any, else torch's, else GGUF."""
    for pattern in ("*.safetensors", "*.bin", "*.gguf"):
        if found := sorted(p for p in folder.glob(pattern) if p.is_file()):
            return found
    return []
