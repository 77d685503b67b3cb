"""What is told of a run while it goes: a line of JSON for each step, and how fast it is."""

import json
import time
from pathlib import Path
from typing import Any

from penjing.core.progress import Progress
from penjing.io import writing

FRESH = 2.0
"""Seconds for which the text beside the bar stays."""


class StepLog:
    """Appends to a file of one JSON object a line; a run that goes on takes back what came after its state."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def go_on(self, step: int) -> None:
        """Keep the lines of steps that the state counts.

        Raises:
            OutputError: the file cannot be written.
        """
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            known = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
            kept = [line for line in known if 0 < _step(line) <= step]
            new = self._path.with_name(f"{self._path.name}.new")
            new.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            new.replace(self._path)

    def write(self, **told: Any) -> None:
        """One line.

        Raises:
            OutputError: the file cannot be written.
        """
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


class Pace:
    """Examples or tokens a second since this process began, and how long it will take still."""

    def __init__(self, progress: Progress, step: int, steps: int, unit: str) -> None:
        self._progress, self._unit, self._first, self._steps = progress, unit, step, steps
        self._start, self._count, self._said, self._aside = time.monotonic(), 0, 0.0, ""

    def tell(self, step: int, count: int) -> dict[str, Any]:
        """Count what a step went through, show where the run is, and say how fast it is."""
        self._count += count
        now = time.monotonic()
        seconds = now - self._start
        pace = self._count / seconds if seconds else 0.0
        if now - self._said >= FRESH:
            left = int(seconds / (step - self._first) * (self._steps - step))
            self._said, self._aside = now, f" · {pace:.3g} {self._unit}/s, {left // 60}:{left % 60:02d} left"
        self._progress(f"training{self._aside}", step, self._steps)
        return {f"{self._unit}_per_second": round(pace, 3), "seconds": round(seconds, 3)}


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 0
