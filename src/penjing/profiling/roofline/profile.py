"""What one machine was seen to do, and where that is kept."""

import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from penjing.core.places import cache_folder
from penjing.profiling.roofline.interpolate import curve, grid

VERSION = 1
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The speed of one machine with a number of threads, for one dtype. Sizes in bytes, times in seconds.

    `bandwidth` threads -> (bytes of the working set, bytes read per second by products of one row). `linear` is a
    full grid of (rows, inputs, outputs, seconds). `alignment` "inputs" or "outputs" -> (largest power of two that
    divides the width, time over that of a width in 64s for each of `alignment_rows`). `scores` (tokens,
    multiply-adds per second) of attention with as many queries as keys, `one_query` (keys, the same) with one.
    `launch` is one small product alone; `per_product`, `per_pass` and `per_output` what stock code adds for each
    product, each pass and each number that a product gives. `peak` is in operations per second, two for a
    multiply-add. `error` says how well held-out shapes and a held-out model were predicted.
    """

    machine: str
    threads: int
    dtype: str
    torch: str
    bandwidth: Mapping[int, Sequence[tuple[float, float]]]
    linear: Sequence[tuple[float, float, float, float]]
    alignment: Mapping[str, Sequence[tuple[int, Sequence[float]]]]
    alignment_rows: Sequence[int]
    scores: Sequence[tuple[float, float]]
    one_query: Sequence[tuple[float, float]]
    launch: float
    per_product: float = 0.0
    per_pass: float = 0.0
    per_output: float = 0.0
    peak: float = 0.0
    error: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _grid(self) -> tuple[dict[tuple[float, float, float], float], tuple[list[float], ...]]:
        """Seconds per multiply-add, and the places of the grid."""
        values = {(m, i, o): s / (m * i * o) for m, i, o, s in self.linear}
        return values, tuple(sorted({place[d] for place in values}) for d in range(3))

    def bytes_per_second(self, working_set: float) -> float:
        """How fast weights are read when so many bytes are read over and over."""
        return curve(self.bandwidth[self.threads], max(working_set, 1.0))

    def linear_seconds(self, rows: float, inputs: float, outputs: float) -> float:
        """Seconds of a product from the grid alone, with weights as near as they can be kept."""
        values, axes = self._grid
        aligned = self.misfit("inputs", inputs, rows) * self.misfit("outputs", outputs, rows)
        return rows * inputs * outputs * grid(values, axes, (rows, inputs, outputs)) * aligned

    def misfit(self, side: str, width: float, rows: float) -> float:
        """Time at this width over that of a well rounded one beside it, from the width's largest power of two."""
        whole = max(int(width), 1)
        known = dict(self.alignment.get(side, ()))
        factors = known.get(min(whole & -whole, MULTIPLES[-1]))
        return curve(list(zip(self.alignment_rows, factors, strict=True)), rows) if factors else 1.0

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back."""
        return {"version": VERSION, **asdict(self)}

    def summary(self) -> str:
        """The machine and the error of the predictions, in a line."""
        said = f"{self.machine}, {self.threads} thread{'s' if self.threads > 1 else ''}, {self.dtype}"
        if self.error.get("shapes"):
            said += f"; {self.error['within_quarter']:.0%} of {self.error['shapes']} held-out products within 25 %"
        models = self.error.get("models", {})
        return said + "".join(f"; {job} of a held-out model predicted {r - 1:+.0%}" for job, r in models.items())


def from_json(data: Mapping[str, Any]) -> Profile:
    """A profile from plain data.

    Raises:
        KeyError: an entry is missing.
        TypeError: an entry is unknown.
    """
    given = {k: v for k, v in data.items() if k != "version"}
    given["bandwidth"] = {int(k): [tuple(p) for p in v] for k, v in given["bandwidth"].items()}
    given["alignment"] = {k: [tuple(p) for p in v] for k, v in given["alignment"].items()}
    for name in ("linear", "scores", "one_query"):
        given[name] = [tuple(p) for p in given[name]]
    return Profile(**given)


def processor() -> str:
    """What the processor calls itself."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return " ".join(found.group(1).split())
    return platform.processor() or platform.machine() or "unknown processor"


def path(threads: int, dtype: str) -> Path:
    """Where the profile of this machine is kept: by processor, its count, threads, torch and dtype."""
    import torch

    facts = [VERSION, processor(), os.cpu_count(), threads, torch.__version__, dtype]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]
    words = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")[:40]
    return cache_folder() / "machines" / f"{words}-{threads}-{dtype}-{digest}.json"


def find(*, threads: int | None = None, dtype: str = "float32") -> Profile | None:
    """The profile of this machine, or None when it was never calibrated so or its file is damaged."""
    from penjing.running.children import physical_cpus

    try:
        read = json.loads(path(threads or len(physical_cpus()), dtype).read_text(encoding="utf-8"))
        return from_json(read) if read.get("version") == VERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(profile: Profile) -> Path:
    """Keep a profile; it appears whole or not at all."""
    target = path(profile.threads, profile.dtype)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".machine-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(profile.to_json(), file, indent=1)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target
