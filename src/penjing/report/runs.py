"""Run folders: what a long command writes while it works, and the list of them, read with distrust.

`RUNS/<folder>/run.json` says how far a run is; `report.json` beside it holds the figures taken so far.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penjing.core import Report
from penjing.errors import DataError, OutputError
from penjing.report.items import FILE, item_lines
from penjing.report.run_reader import (
    REPORT_BYTES,
    RunSummary,
    alive,
    check_key,
    head,
    opened,
    read_object,
    read_plain,
)  # fmt: skip
from penjing.report.store import from_json, to_json
from penjing.report.summary import Summary, summary

__all__ = ["Known", "RunSummary", "RunWriter", "Summary", "list_runs", "read_report", "read_run", "report_bytes"]

SCHEMA = 1
"""Rises when a key of run.json changes its meaning."""
Known = dict[str, tuple[tuple[int, ...], RunSummary]]
"""What was read before, by folder and by the identity of its files; the caller keeps it between calls."""


class RunWriter:
    """Writes a run's folder while the work inside the `with` goes on.

    `folder` is the run's own folder, `name` what people call it. Leaving the block writes how it ended: done, failed
    (with the error) or interrupted. `progress` has the form of every progress callback of penjing.

    Raises:
        OutputError: the folder cannot be written to, or a run that is still going writes there.
    """

    def __init__(self, folder: str | Path, name: str, command: str = "", *, every: float = 0.5) -> None:
        """`every`: seconds between two writes of progress, at least."""
        self.folder = Path(folder)
        self._every, self._last, self._lock = every, 0.0, threading.Lock()
        self._state: dict[str, Any] = {
            "schema": SCHEMA,
            "name": name,
            "command": command,
            "started": _now(),
            "updated": _now(),
            "status": "running",
            "progress": {"what": "", "done": 0, "total": 0},
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "error": None,
            "summary": None,
        }

    def __enter__(self) -> Self:
        """Write the first state; a folder of a run that has ended is taken over, its report kept until replaced."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            before = read_run(self.folder.parent, self.folder.name)
        except DataError:
            before = None  # nothing of a run is there yet, or nothing that can be read
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made ({error.strerror}); choose another place") from error
        if before is not None and before.status == "running":
            raise OutputError(f"{self.folder} is written by a run that is still going; wait, or choose another folder")
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write how it ended; the error goes on."""
        if error is None:
            self._state["status"] = "done"
        elif isinstance(error, Exception):
            self._state.update(status="failed", error=f"{type(error).__name__}: {error}"[:2000])
        else:
            self._state["status"] = "interrupted"
        try:
            self._write()
        except OutputError:
            if error is None:  # else the error that ended the run is the one to be told
                raise

    def progress(self, what: str, done: int, total: int) -> None:
        """Say how far the work is; a new `what` is written at once, else at most every so many seconds."""
        now = time.monotonic()
        with self._lock:
            fresh = what != self._state["progress"]["what"]
            self._state["progress"] = {"what": what, "done": int(done), "total": int(total)}
            if not fresh and now - self._last < self._every:
                return
            self._last = now
        try:
            self._write()
        except OutputError:
            return  # hours of work do not end for a progress bar; a disk still full at the end is told then

    def report(self, report: Report) -> None:
        """Write the figures taken so far: report.json, its items beside it, and their summary in run.json.

        Raises:
            DataError: the report holds something that is not plain data.
            OutputError: the folder cannot be written to.
        """
        text = json.dumps(to_json(report), ensure_ascii=False, allow_nan=False, indent=1)
        short = summary(report).to_json()
        _put(self.folder / FILE, item_lines(report))
        _put(self.folder / "report.json", [text, "\n"])
        with self._lock:
            self._state["summary"] = short
        self._write()

    def _write(self) -> None:
        with self._lock:
            self._state["updated"] = _now()
            _put(self.folder / "run.json", [json.dumps(self._state, ensure_ascii=False, indent=1), "\n"])


def list_runs(root: str | Path, *, known: Known | None = None) -> list[RunSummary]:
    """Every folder right under `root`, the newest first; hidden folders and plain files are not runs.

    What cannot be trusted or read comes with status "skipped" and the reason as its error. Links are not followed.
    Give the same `known` again and only folders that changed are read.

    Raises:
        DataError: `root` is not a folder that can be read.
    """
    known = {} if known is None else known
    found: list[RunSummary] = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and (entry.is_symlink() or entry.is_dir(follow_symlinks=False)):
                    found.append(_summary(Path(root), entry, known))
    except OSError as error:
        raise DataError(f"{root} cannot be listed ({error.strerror}); name the folder that holds the runs") from error
    for gone in known.keys() - {r.key for r in found}:
        del known[gone]
    return sorted(found, key=lambda r: (-r.started, r.key))


def read_run(root: str | Path, key: str) -> RunSummary:
    """The run in the folder `key` right under `root`.

    Raises:
        DataError: there is none, or it cannot be trusted or read.
    """
    with opened(Path(root), key) as folder:
        return _living(head(folder, key))


def report_bytes(root: str | Path, key: str) -> bytes:
    """The report.json of a run, as it lies there.

    Raises:
        DataError: there is none, it is a link, or it is too long.
    """
    with opened(Path(root), key) as folder:
        return read_plain(folder, "report.json", REPORT_BYTES)


def read_report(root: str | Path, key: str) -> Report:
    """The report of a run.

    Raises:
        DataError: there is none, or it cannot be trusted or read.
    """
    with opened(Path(root), key) as folder:
        return from_json(read_object(folder, "report.json", REPORT_BYTES))


def _summary(root: Path, entry: os.DirEntry[str], known: Known) -> RunSummary:
    identity: tuple[int, ...] = ()
    try:
        check_key(entry.name)
        if entry.is_symlink():
            raise DataError("is a link; links are not followed, so move the folder here")
        identity = _identity(entry.path)
        before = known.get(entry.name)
        if before is not None and before[0] == identity:
            return _living(before[1])
        with opened(root, entry.name) as folder:
            fresh = head(folder, entry.name)
    except DataError as error:
        fresh = RunSummary(key=os.fsencode(entry.name).decode("utf-8", "backslashreplace"), error=str(error))
    known[entry.name] = (identity, fresh)
    return _living(fresh)


def _identity(folder: str) -> tuple[int, ...]:
    """What changes when one of the two files does."""
    parts: list[int] = []
    for name in ("run.json", "report.json"):
        try:
            found = os.lstat(os.path.join(folder, name))
            parts += [found.st_ino, found.st_mtime_ns, found.st_size]
        except OSError:
            parts += [0, 0, 0]
    return tuple(parts)


def _living(run: RunSummary) -> RunSummary:
    """The same; a run whose process is gone was interrupted, whatever its file says."""
    if run.status != "running" or (run.host and run.host != socket.gethostname()) or alive(run.pid, run.updated):
        return run
    return replace(run, status="interrupted")


def _put(path: Path, text: Iterable[str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(text)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place") from error
    finally:
        part.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
