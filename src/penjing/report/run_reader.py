"""Reading a run's folder that somebody else wrote: small files only, no links followed, every key checked."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from penjing.errors import DataError
from penjing.report.store import from_json as report_from_json
from penjing.report.summary import Summary, from_json, summary

RUN_BYTES = 64 * 1024
REPORT_BYTES = 16 * 1024 * 1024
"""Longer files are refused: no report of penjing comes near."""
ODD = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What a report can raise whose form is right and whose content is not, such as a number of a thousand digits."""
STATES = ("running", "done", "failed", "interrupted")
LONG = 2000


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run as a list shows it. `key` is its folder's name; times are seconds since 1970, zero when unknown.

    `status` is one of `STATES`, or "skipped": then `error` says why.
    """

    key: str
    name: str = ""
    command: str = ""
    started: float = 0.0
    updated: float = 0.0
    status: str = "skipped"
    what: str = ""
    done: int = 0
    total: int = 0
    pid: int = 0
    host: str = ""
    error: str = ""
    has_report: bool = False
    summary: Summary | None = None


def check_key(key: str) -> None:
    """Nothing, for a name that can be a run's folder right under the root.

    Raises:
        DataError: it is hidden, leads elsewhere, or is not text.
    """
    if not key or key.startswith(".") or "/" in key or "\\" in key or "\0" in key:
        raise DataError(f"{key!r} is not the name of a run; needed a folder's name")
    try:
        key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError("its name is not UTF-8; rename the folder") from error


@contextmanager
def opened(root: Path, key: str) -> Iterator[int]:
    """A descriptor of the folder `key` right under `root`, which is no link: what is opened by it lies inside.

    Raises:
        DataError: there is no such folder.
    """
    check_key(key)
    try:
        above = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            folder = os.open(key, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        raise DataError(f"there is no run '{key}' that can be read ({error.strerror}); see the list") from error
    try:
        yield folder
    finally:
        os.close(folder)


def read_plain(folder: int, name: str, limit: int) -> bytes:
    """The bytes of a plain file in an open folder. A pipe or a device is never waited for.

    Raises:
        DataError: there is none, it is a link or no plain file, or it is longer than `limit`.
    """
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror}); needed a plain file") from error
    with open(file, "rb") as stream:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{name} is not a plain file; remove it")
        data = stream.read(limit + 1) if found.st_size <= limit else b""
    if found.st_size > limit or len(data) > limit:
        size = max(found.st_size, len(data))
        raise DataError(f"{name} holds {size} bytes; at most {limit} are read; penjing writes less")
    return data


def read_object(folder: int, name: str, limit: int) -> dict[str, Any]:
    """The JSON object in a plain file of an open folder.

    Raises:
        DataError: it cannot be read, or is no JSON object.
    """
    data = read_plain(folder, name, limit)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON ({str(error)[:120]}); it may be half-written") from error
    if not isinstance(found, dict):
        raise DataError(f"{name} holds a {type(found).__name__}; needed an object")
    return found


def head(folder: int, key: str) -> RunSummary:
    """What run.json says; for a folder that has only a report.json, such as a shrunk model's, what that one says.

    Raises:
        DataError: neither is there, or one of them is not what it should be.
    """
    report = _stat(folder, "report.json")
    if _stat(folder, "run.json") is None:
        if report is None:
            raise DataError("holds neither run.json nor report.json; it is no run, or was only begun")
        when = report.st_mtime
        return RunSummary(
            key=key, name=key, started=when, updated=when, status="done", has_report=True, summary=_summary_of(folder)
        )
    data = read_object(folder, "run.json", RUN_BYTES)
    if data.get("schema") != 1:
        raise DataError(f"run.json is of schema {str(data.get('schema'))[:40]!r}; this penjing reads schema 1")
    told = data.get("summary")
    there = report is not None
    return _checked(data, key, there, from_json(told) if told else _summary_of(folder) if there else None)


def _checked(data: Mapping[str, Any], key: str, has_report: bool, short: Summary | None) -> RunSummary:
    status = data.get("status")
    if status not in STATES:
        raise DataError(f"run.json says its status is {str(status)[:40]!r}; needed one of {', '.join(STATES)}")
    progress = data.get("progress") or {}
    if not isinstance(progress, Mapping):
        raise DataError("run.json holds no progress that can be read; needed an object")
    return RunSummary(
        key=key,
        name=_text(data, "name") or key,
        command=_text(data, "command"),
        started=_time(data, "started"),
        updated=_time(data, "updated"),
        status=str(status),
        what=_text(progress, "what"),
        done=_count(progress, "done"),
        total=_count(progress, "total"),
        pid=_count(data, "pid"),
        host=_text(data, "host"),
        error=_text(data, "error"),
        has_report=has_report,
        summary=short,
    )


def _summary_of(folder: int) -> Summary:
    try:
        return summary(report_from_json(read_object(folder, "report.json", REPORT_BYTES)))
    except ODD as error:
        raise DataError(f"report.json cannot be understood ({type(error).__name__}); write it again") from error


def _stat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"run.json says its {key} is a {type(value).__name__}; needed text")
    return (value or "")[:LONG].encode("utf-8", "replace").decode()


def _count(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise DataError(f"run.json says its {key} is {str(value)[:40]!r}; needed a count")
    return value


def _time(data: Mapping[str, Any], key: str) -> float:
    try:
        return max(0.0, datetime.fromisoformat(_text(data, key)).timestamp())
    except (ValueError, OverflowError, OSError) as error:
        raise DataError(f"run.json has no '{key}' that is a time; needed one such as 2026-01-31T12:00:00Z") from error


def alive(pid: int, updated: float) -> bool:
    """Whether a process of this number runs that is not younger than the time `updated` it last wrote."""
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    born = _born(pid)
    return born is None or born <= updated + 2


def _born(pid: int) -> float | None:
    """When a process began, in seconds since 1970, where the system tells: numbers of dead processes are reused."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        booted = next(
            float(line.split()[1])
            for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()
            if line.startswith("btime")
        )
        return booted + float(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
