"""The place where an output grows: a hidden folder beside it, with a lock, a journal, and one rename at the end.

`.NAME.partial/` holds `lock`, `manifest.json` (whose output this is), `journal` (finished tensors, one JSON text per
line) and `folder/`, which becomes NAME when it is whole; a NAME that it replaces goes to `old/` just before. Only a
line that ends in a newline counts, and it is written after the bytes it tells of are on the disk; so whatever moment a
run is killed at, the next one goes on from there.
"""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Self

from penjing.errors import OutputError
from penjing.io.locked import LockedFolder
from penjing.io.results import check_replaceable
from penjing.io.shard_file import writing

MARK = "unfinished output of penjing"
MEMBERS = frozenset({"lock", "manifest.json", "manifest.json.new", "journal", "folder", "old"})

log = logging.getLogger(__name__)


def check_output(out: Path, inputs: Iterable[Path] = ()) -> Path:
    """Where `out` leads, made sure that a folder can appear there without harm to anything.

    Raises:
        OutputError: something is there already, or it lies in one of the `inputs`.
    """
    out = outside(out, inputs)
    with writing(out):
        if out.exists() and not out.is_dir():
            raise OutputError(f"the output {out} is a file; choose another name")
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"the output {out} exists and is not empty; choose another name, or remove it first")
        if out.is_mount():
            raise OutputError(f"the output {out} is a mounted disk; choose a folder in it")
    return out


def outside(out: Path, inputs: Iterable[Path]) -> Path:
    """Where `out` leads, made sure that it is none of the `inputs` and lies in none of them.

    Raises:
        OutputError: it is or does.
    """
    out = _resolved(out)
    for given in inputs:
        place = _resolved(given)
        if out == place or out.is_relative_to(place):
            kind = "is the input itself" if out == place else f"lies inside the input {place}"
            raise OutputError(f"the output {out} {kind}; choose another place")
    return out


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file such that it has either its old bytes or all the new ones, and those are on the disk."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


class Workspace:
    """The locked place of one output; `done` are the tensors that the journal tells of."""

    def __init__(self, out: Path, identity: str) -> None:
        """Lock the place of `out` and take over what a run of the same `identity` left there.

        Raises:
            OutputError: another run holds the lock, the place cannot be written, or holds what is not ours.
        """
        self.out = out
        self.place = out.with_name(f".{out.name}.partial")
        self.folder = self.place / "folder"
        self.identity = identity
        self.done: set[str] = set()
        self._journal = -1
        self._locked = LockedFolder(self.place, out, MEMBERS)
        try:
            with writing(self.place):
                self._take_over()
        except BaseException:
            self.close()
            raise

    @property
    def published(self) -> bool:
        """Whether a run of the same identity was stopped between its rename and its tidying up."""
        begun = (self.place / "manifest.json").exists() and (self.place / "journal").exists()
        return begun and not self.folder.exists() and self.out.is_dir() and any(self.out.iterdir())

    def begin(self) -> None:
        """Make the folder and open the journal.

        Raises:
            OutputError: the disk refuses.
        """
        with writing(self.place):
            if not (self.place / "manifest.json").exists():
                table = {"format": MARK, "version": 1, "output": self.out.name, "identity": self.identity}
                write_whole(self.place / "manifest.json", json.dumps(table, indent=2).encode() + b"\n")
            self.folder.mkdir(exist_ok=True)
            self._journal = os.open(self.place / "journal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            text = (self.place / "journal").read_bytes()
            names, length = _finished(text)
            # A line cut short by a crash must not run into the next one.
            os.ftruncate(self._journal, length)
            os.lseek(self._journal, 0, os.SEEK_END)
            self.done = set(names)

    def forget(self, names: Iterable[str]) -> None:
        """Take these tensors for unfinished, since their file is not what the journal was written for."""
        self.done -= set(names)

    def record(self, names: Iterable[str]) -> None:
        """Add tensors, whose bytes are on the disk, to the journal.

        Raises:
            OutputError: the disk refuses.
        """
        lines = "".join(json.dumps(name) + "\n" for name in names).encode()
        with writing(self.place):
            view = memoryview(lines)
            while view:
                view = view[os.write(self._journal, view) :]
            os.fsync(self._journal)

    def publish(self, *, replacing: bool = False) -> None:
        """Give the finished folder its name, and tidy up; with `replacing`, a result of ours there makes room.

        Raises:
            OutputError: something took the name meanwhile, or the disk refuses.
        """
        with writing(self.out):
            for folder in {p.parent for p in self.folder.rglob("*")}:
                sync_folder(folder)
            if replacing and self.out.exists() and any(self.out.iterdir()):
                check_replaceable(self.out)
                self.out.rename(self.place / "old")
            else:
                check_output(self.out)
            self.folder.rename(self.out)
            sync_folder(self.out.parent)
        self.tidy()

    def tidy(self) -> None:
        """Remove the workspace after its folder got its name."""
        self._locked.remove()

    def close(self) -> None:
        """Let go of the lock; what is unfinished stays for the next run."""
        if self._locked.locked and not (self.place / "manifest.json").exists() and not self.folder.exists():
            self.tidy()
        if self._journal >= 0:
            os.close(self._journal)
        self._journal = -1
        self._locked.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _take_over(self) -> None:
        manifest = self.place / "manifest.json"
        if not manifest.exists() and self.folder.exists():
            raise OutputError(f"{self.place} holds a folder and no manifest of penjing; remove or rename it")
        if not manifest.exists():
            return
        try:
            held = json.loads(manifest.read_bytes())
        except ValueError:
            held = None
        if not isinstance(held, dict) or held.get("format") != MARK:
            raise OutputError(f"{manifest} is not a manifest of penjing; remove or rename {self.place}")
        if held.get("identity") == self.identity:
            return
        log.warning("removing the unfinished output in %s: another plan or source began it", self.place)
        manifest.unlink()
        for path in (self.place / "journal", self.place / "manifest.json.new"):
            path.unlink(missing_ok=True)
        if self.folder.exists():
            rmtree(self.folder)


def _finished(journal: bytes) -> tuple[list[str], int]:
    """The names in the whole, readable lines at the start of a journal, and the length of those lines."""
    names: list[str] = []
    length = 0
    for line in journal.splitlines(keepends=True):
        try:
            name = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(name, str):
            break
        names.append(name)
        length += len(line)
    return names, length


def _resolved(path: Path) -> Path:
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise OutputError(f"{path} leads nowhere ({error}); choose another place") from error


def clear_partial(out: Path) -> None:
    """Remove what a run left beside `out` that was stopped between the rename and its tidying up.

    Raises:
        OutputError: another run is at it, or what lies there is not ours.
    """
    place = out.with_name(f".{out.name}.partial")
    if place.exists():
        held = LockedFolder(place, out, MEMBERS)
        held.remove()
        held.close()
