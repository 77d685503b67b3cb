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
    """What an `EXPORTER` has too whose files are measured in their runtime."""

    def open(self, path: Path, *, context: int, threads: int) -> AbstractContextManager[OpenFile]:
        """The file, for texts of up to `context` tokens."""
        ...

    def load(self) -> None:
        """Load the runtime itself, whose memory is not the file's."""
        ...

    def timed(self, path: Path, *, prompt: int, context: int, threads: int) -> TimedFile:
        """The file, loaded, to be timed; called in a process of its own."""
        ...


def runner_of(path: Path) -> Runs:
    """What runs a file of this ending.

    Raises:
        ExportError: nothing does.
    """
    found = runners()
    if path.suffix not in found:
        raise ExportError(f"{path.name} is not run here; files that are end in {', '.join(sorted(found))}")
    return found[path.suffix]


def runners() -> dict[str, Any]:
    """Ending -> what runs files of it."""
    formats: list[Any] = [module.EXPORTER for module in FORMATS.load_all().modules.values()]
    return {one.suffix: one for one, runs in ((f, isinstance(f, Runs)) for f in formats) if runs}
