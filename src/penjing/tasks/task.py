"""What a battery is made of: tasks that examine one loaded model and give figures with their items."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from penjing.core import Measurement
from penjing.errors import DataError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A loaded model: the module in evaluation mode, its tokenizer and image processor if it has them, its folder."""

    name: str
    module: Any
    tokenizer: Any = None
    processor: Any = None
    folder: Path | None = None

    def reader(self, what: str) -> Any:
        """The tokenizer.

        Raises:
            DataError: there is none.
        """
        if self.tokenizer is None:
            raise DataError(
                f"{self.name} has no tokenizer, and {what} is text; put the tokenizer's files into its folder"
            )
        return self.tokenizer


def called(title: str, what: str = "") -> str:
    """A figure's label: the title of its task and what it tells; empty without a title, so that its name is shown.

    >>> called("ARC", "acc_norm")
    'ARC: acc norm'
    """
    return f"{title}: {what.replace('_', ' ')}" if title and what else title


class Task(Protocol):
    """One measurement with its data and settings. Frozen; the same task gives the same figures of the same model.

    The first figure is the task's main one and bears its name; others are called `name:what`.
    """

    @property
    def name(self) -> str:
        """The key of the main figure: short, lower case, without colons."""
        ...

    def key(self) -> str:
        """A text that changes when data or settings do: what a stored result is looked up by."""
        ...

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The figures of one model; `progress` gets (done, all) items."""
        ...
