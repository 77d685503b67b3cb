"""States of a run on disk: the newest whole one, written such that no moment of a kill harms it.

A state is a folder `step-00000120` of `tensors.safetensors` and `state.json`. It grows as `new`, is brought to the disk
and then gets its name; the one before it goes only after that.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Any, Protocol, TypeVar

from torch import Tensor

from penjing.errors import OutputError
from penjing.io import write_whole, writing
from penjing.train.ranks import Ranks

EVERY = 300.0
"""Seconds from one state to the next; longer where writing one takes a twentieth of that."""
SHARE = 20

log = logging.getLogger(__name__)
T = TypeVar("T")


class Keeps(Protocol):
    """What keeps the states of a run; `refused` tells of those that could not be kept."""

    refused: list[str]

    def due(self) -> bool:
        """Whether it is time for the next state."""
        ...

    def newest(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]] | None:
        """(tensors, facts) of the newest state; None where there is none."""
        ...

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Keep a state; whether it was kept."""
        ...


class Keeper:
    """Keeps the states of one run in a folder; `identity` tells which run, so that another one's are not taken."""

    def __init__(self, folder: Path, identity: str, *, every: float = EVERY) -> None:
        self.folder, self._identity, self._every = folder, identity, every
        self._last, self._took = time.monotonic(), 0.0
        self.refused: list[str] = []

    def due(self) -> bool:
        """Whether it is time for the next state."""
        return time.monotonic() - self._last >= max(self._every, SHARE * self._took)

    def newest(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """(tensors, facts) of the newest state that is whole and of this run; None where there is none."""
        from safetensors.torch import load_file

        from penjing.train.sharded_state import for_rank, read_whole

        found = self._newest(lambda place: {**load_file(place / "tensors.safetensors"), **read_whole(place)})
        return found and (for_rank(found[1], Ranks()), found[2])

    def newest_place(self) -> tuple[Path, dict[str, Any]] | None:
        """(folder, facts) of the newest state that is whole, which is not read yet."""
        from safetensors import safe_open

        def looked_at(place: Path) -> None:
            for path in [place / "tensors.safetensors", *place.glob("shards/*.safetensors")]:
                with safe_open(path, "pt"):
                    pass

        found = self._newest(looked_at)
        return found and (found[0], found[2])

    def _newest(self, read: Callable[[Path], T]) -> tuple[Path, T, dict[str, Any]] | None:
        from safetensors import SafetensorError

        for place in reversed(self.places()):
            try:
                told = json.loads((place / "state.json").read_text(encoding="utf-8"))
                if told["identity"] != self._identity:
                    continue
                return place, read(place), told["facts"]
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                log.warning("the state in %s is damaged (%s); an earlier one is taken", place, error)
        return None

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Keep a state; where the disk refuses, say so, keep the one before, and go on. Whether it was kept.

        A run of hours does not end because a disk is full for a while: what is kept then is older, nothing is lost yet.
        """
        return self.save_by(lambda new: write_tensors(new / "tensors.safetensors", tensors), size_of(tensors), facts)

    def save_by(self, write: Callable[[Path], None], needed: int, facts: Mapping[str, Any]) -> bool:
        """Keep a state whose tensors, of so many bytes, `write` brings to the disk, into a folder; else as `save`."""
        began = time.monotonic()
        try:
            self._write(write, needed, facts)
        except OutputError as error:
            with suppress(OSError):
                rmtree(self.folder / "new", ignore_errors=True)
            kept = self.places()
            instead = f"the state of {kept[-1].name.replace('-', ' ')} stays" if kept else "none was kept before"
            self.refused.append(f"the state after step {facts['step']} was not kept: {error}; {instead}")
            log.warning("%s", self.refused[-1])
            self._last = time.monotonic()
            return False
        self._last = time.monotonic()
        self._took = self._last - began
        return True

    def _write(self, write: Callable[[Path], None], needed: int, facts: Mapping[str, Any]) -> None:
        new = self.folder / "new"
        with writing(self.folder):
            rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            free = disk_usage(new).free
            if needed > free:
                raise OutputError(f"it needs {needed:,} bytes, and the disk has {free:,} free; make room")
            write(new)
            told = {"format": "penjing training 1", "identity": self._identity, "facts": dict(facts)}
            write_whole(new / "state.json", json.dumps(told).encode())
            place, before = self.folder / f"step-{facts['step']:08d}", self.places()
            if place in before:
                rmtree(place)
            new.rename(place)
            sync(self.folder)
            for old in before:
                if old != place:
                    rmtree(old, ignore_errors=True)

    def places(self) -> list[Path]:
        """The folders of states, the newest last."""
        return sorted(self.folder.glob("step-" + "[0-9]" * 8))


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of all tensors."""
    return sum(t.nbytes for t in tensors.values())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the tensors, and return when they are on the disk.

    Raises:
        OutputError: the disk refuses.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:  # it wraps what the system said
        raise OutputError(f"{path.name} cannot be written ({error}); make room, or mend the disk") from error
    sync(path)


def sync(path: Path) -> None:
    """Return when what was written there is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
