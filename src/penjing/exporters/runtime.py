"""A file that is open in the runtime that users have: what it predicts, what it writes, how long that takes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from penjing.errors import ExportError
from penjing.exporters.exporter import Inputs
from penjing.exporters.formats import FORMATS


class OpenFile(Protocol):
    """A file that runs. What has no vocabulary reads no text, and takes `inputs` by name instead."""

    @property
    def version(self) -> str:
        """The runtime's name and version."""
        ...

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows; 0 for what reads no text."""
        ...

    @property
    def positions(self) -> int | None:
        """How many tokens it takes at most, where the file says so."""
        ...

    @property
    def parameters(self) -> int | None:
        """How many weights it has, where that can be told."""
        ...

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """float32 [tokens vocabulary]: after each token."""
        ...

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest token, `count` times over, with the cache."""
        ...

    def tokenize(self, texts: Sequence[str], *, special: bool) -> list[list[int]] | None:
        """The tokens of texts by the file's own tokenizer; None where it has none."""
        ...

    def output(self, inputs: Inputs) -> Tensor:
        """What comes out first, of a file that reads no text."""
        ...


class TimedFile(Protocol):
    """A file that is timed, in a process of its own."""

    version: str
    what: str
    """The inputs in words, for the protocol."""
    decodes: bool
    images: bool
    clock: Callable[[], float]
    """What tells the time; it may be set."""

    def prefill(self) -> float:
        """Seconds of one pass over the prompt, or one input, with the logits of all positions."""
        ...

    def decode(self, steps: int) -> list[float]:
        """Seconds of each of some steps of one token after the context."""
        ...


@runtime_checkable
class Runs(Protocol):
    """What an `EXPORTER` has too whose files, or folders, are measured in their runtime."""

    def open(self, path: Path, *, context: int, threads: int) -> AbstractContextManager[OpenFile]:
        """The file, for texts of up to `context` tokens."""
        ...


@runtime_checkable
class RunsFiles(Runs, Protocol):
    """What an `EXPORTER` has whose files are timed, too; folders are timed as every folder is."""

    def load(self) -> None:
        """Load the runtime itself, whose memory is not the file's."""
        ...

    def timed(self, path: Path, *, prompt: int, context: int, threads: int) -> TimedFile:
        """The file, loaded, to be timed; called in a process of its own."""
        ...


@runtime_checkable
class HoldsFolders(Runs, Protocol):
    """What an `EXPORTER` has that writes folders, which no ending tells."""

    def holds(self, folder: Path) -> bool:
        """Whether a folder is of its kind."""
        ...


def runner_of(path: Path) -> Runs:
    """What runs a file of this ending, or such a folder.

    Raises:
        ExportError: nothing does.
    """
    found = _runner(path)
    if found is None:
        raise ExportError(f"{path.name} is not run here; files that are end in {', '.join(sorted(runners()))}")
    return found


def runs(path: Path) -> bool:
    """Whether something here runs the file, by its ending, or the folder, by what it holds."""
    return _runner(path) is not None


def runners() -> dict[str, Any]:
    """Ending -> what runs files of it, as `RunsFiles` says."""
    return {one.suffix: one for one, runs in ((f, isinstance(f, RunsFiles)) for f in _formats()) if runs}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def _runner(path: Path) -> Any:
    if path.is_dir():
        return next((one for one in _formats() if isinstance(one, HoldsFolders) and one.holds(path)), None)
    return runners().get(path.suffix)


def _formats() -> list[Any]:
    return [module.EXPORTER for module in FORMATS.load_all().modules.values()]
