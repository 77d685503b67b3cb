"""Progress for those who call from Python: one line that moves, or plain lines now and then where nothing can move."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TextIO, TypeVar

from penjing.core.progress import Progress, silent

EVERY = 0.1
"""Seconds between two changes of the line that moves."""
FIRST, THEN = 10.0, 30.0
"""Seconds before the first plain line, and between two: what is done sooner says nothing."""
WIDTH = 79

P = ParamSpec("P")
R = TypeVar("R")


def shows_progress(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, whose keyword `progress` may be left out: then it is shown as the place allows.

    True shows it too, False says nothing, and a callable gets it.
    """
    bound = signature(function)

    @wraps(function)
    def inner(*given: P.args, **named: P.kwargs) -> R:
        wish: Any = named.pop("progress", None)
        with progress_line(wish) as progress:
            named["progress"] = progress
            return function(*given, **named)

    shown = bound.parameters["progress"].replace(default=None, annotation="Progress | bool | None")
    parameters = [shown if p.name == "progress" else p for p in bound.parameters.values()]
    inner.__signature__ = bound.replace(parameters=parameters)  # type: ignore[attr-defined]
    return inner


@contextmanager
def progress_line(wish: "Progress | bool | None" = None, *, to: TextIO | None = None) -> Iterator[Progress]:
    """What to call with progress: the callable that is wished for, silence for False, or else a line on stderr."""
    if callable(wish):
        yield wish
        return
    if wish is False:
        yield silent
        return
    stream = to or sys.stderr
    line = _Moving(stream) if _moves(stream) else _Plain(stream)
    try:
        yield line
    finally:
        line.close()


def _moves(stream: TextIO) -> bool:
    """Whether a line can be written over: in a terminal, and in a notebook."""
    shell = sys.modules.get("IPython")
    kernel = getattr(getattr(shell, "get_ipython", lambda: None)(), "kernel", None)
    return kernel is not None or (hasattr(stream, "isatty") and stream.isatty())


def said(what: str, done: int, total: int, seconds: float) -> str:
    """One line: `writing  43 %  1:05`."""
    share = f"  {100 * done // total:3d} %" if total else ""
    return f"{what}{share}  {int(seconds) // 60}:{int(seconds) % 60:02d}"


class _Moving:
    """A line that is written over; it is gone when the work is done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._start, self._last, self._what = stream, time.monotonic(), 0.0, ""

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what == self._what and now - self._last < EVERY:
            return
        self._what, self._last = what, now
        self._write(said(what, done, total, now - self._start))

    def close(self) -> None:
        """Leave an empty line."""
        if self._what:
            self._write("")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text[:WIDTH]:{WIDTH}}\r{text[:WIDTH]}")
        self._stream.flush()


class _Plain:
    """Whole lines, few: for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._start = stream, time.monotonic()
        self._next = self._start + FIRST

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + THEN
            self._stream.write(f"penjing: {said(what, done, total, now - self._start)}\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is left to say."""
