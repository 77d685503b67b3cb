"""A hidden folder of ours beside an output, which one run at a time has: it is locked for as long as that run lives."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from penjing.errors import OutputError
from penjing.io.shard_file import writing


class LockedFolder:
    """The folder `place`, made if it is not there, and the lock in it; `close` lets go of it.

    `members` are the names that may lie in it, `lock` among them; `out` is the output that it serves.
    """

    def __init__(self, place: Path, out: Path, members: frozenset[str]) -> None:
        """Lock it.

        Raises:
            OutputError: another run holds the lock, the place cannot be written, or holds what is not ours.
        """
        self.place, self._out, self._members = place, out, members
        self._lock = -1
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._take()

    @property
    def locked(self) -> bool:
        """Whether the lock is held still."""
        return self._lock >= 0

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        with suppress(OSError):
            rmtree(self.place)

    def close(self) -> None:
        """Let go of the lock; the folder stays."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _take(self) -> None:
        place = self.place
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise OutputError(f"{place} is in the way and not a folder of penjing; remove it")
        for _ in range(100):
            place.mkdir(exist_ok=True)
            self._refuse_strange()
            try:
                lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The run that held it may have removed the folder in between: then this is the lock of nothing.
                if (place / "lock").exists() and os.path.samestat(os.fstat(lock), (place / "lock").stat()):
                    self._lock = lock
                    return
            except BlockingIOError as error:
                os.close(lock)
                text = f"another run is writing {self._out}; wait until it is done, or choose another output"
                raise OutputError(text) from error
            except FileNotFoundError:
                pass
            os.close(lock)
        raise OutputError(f"{place} is made and removed by other runs all the time; choose another output")

    def _refuse_strange(self) -> None:
        strange = sorted(p.name for p in self.place.iterdir() if p.name not in self._members)
        if strange:
            raise OutputError(f"{self.place} holds '{strange[0]}', which is not of penjing; remove or rename it")
