"""What a process has in memory at most: read from the kernel, so nothing that allocates is missed."""

import sys
import threading
from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")


def resident() -> dict[str, int]:
    """Bytes resident now and at most: `now`, `peak`, `anonymous` (without mapped files; 0 where it is not known)."""
    if _STATUS.exists():
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        read = {
            key: int(fields[key].split()[0]) * 1024 if key in fields else 0 for key in ("VmRSS", "VmHWM", "RssAnon")
        }
        return {"now": read["VmRSS"], "peak": read["VmHWM"], "anonymous": read["RssAnon"]}
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return {"now": peak, "peak": peak, "anonymous": 0}


def forget_peak() -> bool:
    """Set the kernel's peak back to what is resident now; False where the kernel does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


class AnonymousPeak:
    """The largest anonymous memory seen while the block runs, looked at every few milliseconds by a thread."""

    def __init__(self, every: float = 0.005) -> None:
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.bytes = max(self.bytes, resident()["anonymous"])

    def __enter__(self) -> "AnonymousPeak":
        self.bytes = resident()["anonymous"]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.bytes = max(self.bytes, resident()["anonymous"])
