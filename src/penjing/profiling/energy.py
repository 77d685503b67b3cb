"""Joules, read from the machine's own counters: the processor's (RAPL) and the GPU's (NVML).

Where no counter can be read there is no figure. A guess from nominal power is made only when it is asked for, and
says that it is one.

Source: the Linux power capping interface (energy_uj, max_energy_range_uj); NVML's total energy consumption.
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from penjing.core import Measurement

POWERCAP = Path("/sys/class/powercap")
NO_COUNTER = "not measured: no readable energy counter"
CORE_WATTS = 10.0
"""Nominal watts of one busy processor core, for estimates: some 150 W shared by 16 cores."""


class Counter(Protocol):
    """Something that counts joules."""

    @property
    def name(self) -> str:
        """Which part of the machine it counts."""
        ...

    def joules(self) -> float:
        """Joules since the counter was made."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Rapl:
    """One domain of the processor, such as package-0 or dram; the counter's overflow is mended.

    A counter of some 260 kJ overflows in half an hour at 150 W: what runs between two readings has to be shorter.
    """

    def __init__(self, folder: Path) -> None:
        """Read the counter in this folder once.

        Raises:
            OSError: it may not be read.
        """
        self.name = (folder / "name").read_text(encoding="utf-8").strip()
        self._path = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text(encoding="utf-8"))
        self._last = int(self._path.read_text(encoding="utf-8"))
        self._total = 0

    def joules(self) -> float:
        """Joules since the counter was made."""
        now = int(self._path.read_text(encoding="utf-8"))
        self._total += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._total / 1e6

    def close(self) -> None:
        """Nothing is held open."""


class Nvml:
    """The total energy of one GPU; None of it without the package pynvml."""

    def __init__(self, library: Any, index: int) -> None:
        """Open GPU `index` through pynvml, the `library`."""
        self._library = library
        library.nvmlInit()
        self._handle = library.nvmlDeviceGetHandleByIndex(index)
        self.name = f"gpu-{index}"
        self._first = library.nvmlDeviceGetTotalEnergyConsumption(self._handle)

    def joules(self) -> float:
        """Joules since the counter was made."""
        return (self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle) - self._first) / 1e3

    def close(self) -> None:
        """Let go of the library."""
        self._library.nvmlShutdown()


def counters(root: Path = POWERCAP, *, device: str = "cpu", nvml: Any = None) -> list[Counter]:
    """The counters that may be read: each processor package and its memory and, for a CUDA device, its GPU.

    Domains inside a package (its cores) are part of it and left out; a platform domain holds the packages, so it is
    left out too, as is the second path to the same package (intel-rapl-mmio). `nvml` stands in for pynvml.
    """
    found: list[Counter] = []
    for folder in sorted(root.glob("intel-rapl:*")) if root.is_dir() else []:
        with contextlib.suppress(OSError, ValueError):
            counter = Rapl(folder)
            if counter.name.startswith(("package", "dram")):
                found.append(counter)
    if device.startswith("cuda"):
        with contextlib.suppress(Exception):  # no package, no driver, no GPU or an old one: then it is not counted
            library = nvml or __import__("pynvml")
            found.append(Nvml(library, int(device.partition(":")[2] or 0)))
    return found


@dataclass(frozen=True, kw_only=True)
class Watts:
    """Mean power over some seconds, in total and by counter."""

    total: float
    seconds: float
    parts: dict[str, float]


def watts(
    counters: Sequence[Counter], work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter
) -> Watts:
    """The mean power while some work runs."""
    before = {c: c.joules() for c in counters}
    begun = clock()
    work()
    seconds = max(clock() - begun, 1e-9)
    parts: dict[str, float] = {}
    for c in counters:
        parts[c.name] = parts.get(c.name, 0.0) + (c.joules() - before[c]) / seconds
    return Watts(total=sum(parts.values()), seconds=seconds, parts=parts)


def measured(
    counters: Sequence[Counter],
    work: Callable[[], tuple[int, float]],
    *,
    unit: str,
    idle: Watts | None,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """Joules per token or image (`unit`) of some work that says (how many, in how many seconds).

    The machine's idle power is taken off; `details` has both. Without counters it is an estimate, and says so.
    """
    if not counters:
        return _estimated(work, unit, device)
    counts: list[tuple[int, float]] = []
    drawn = watts(counters, lambda: counts.append(work()), clock)
    number = max(counts[0][0], 1)
    whole = drawn.total * drawn.seconds
    rest = (idle.total if idle else 0.0) * drawn.seconds
    names = ", ".join(dict.fromkeys(c.name for c in counters))
    return replace(
        missing(unit),
        value=max(whole - rest, 0.0) / number,
        n=number,
        protocol=f"energy/1 counters={names} idle={'subtracted' if idle else 'included'} batch=1",
        note="" if whole > rest else "the machine drew no more than when idle",
        details={
            "joules_per_with_idle": whole / number,
            "idle_watts": idle.total if idle else None,
            "watts": drawn.total,
            "watts_by_counter": drawn.parts,
            "seconds": drawn.seconds,
        },
    )


def _estimated(work: Callable[[], tuple[int, float]], unit: str, device: str) -> Measurement:
    """What nominal power says: CodeCarbon's guess when it is installed, else a nominal share per core."""
    if device != "cpu":
        return missing(unit, f"{NO_COUNTER}, and no nominal power is known of device {device}")
    number, seconds, joules, how = _with_codecarbon(work) or _by_cores(work)
    return replace(
        missing(unit),
        value=joules / max(number, 1),
        n=number,
        protocol=f"energy/1 estimated {how} batch=1",
        note=f"estimated, not measured: {how}",
        details={"estimated": True, "seconds": seconds, "joules": joules},
    )


def _by_cores(work: Callable[[], tuple[int, float]]) -> tuple[int, float, float, str]:
    number, seconds = work()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return number, seconds, CORE_WATTS * cores * seconds, f"{cores} cores x {CORE_WATTS:g} W nominal"


def _with_codecarbon(work: Callable[[], tuple[int, float]]) -> tuple[int, float, float, str] | None:
    try:
        from codecarbon import OfflineEmissionsTracker  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    tracker = OfflineEmissionsTracker(country_iso_code="USA", save_to_file=False, log_level="error")
    tracker.start()
    number, seconds = work()
    tracker.stop()
    return number, seconds, tracker.final_emissions_data.energy_consumed * 3.6e6, "CodeCarbon"


def missing(unit: str, why: str = NO_COUNTER) -> Measurement:
    """The figure of a machine whose energy nobody counts."""
    return Measurement(
        name=f"joules_per_{unit}", value=None, unit=f"joules per {unit}", label=f"Energy per {unit}", better="lower",
        group="time", note=why,
    )  # fmt: skip
