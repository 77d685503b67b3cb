"""What a study runs: an experiment, which gives figures for its settings and a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from penjing.core.report import Better
from penjing.errors import DataError

Figures = Mapping[str, float | Sequence[float]]
"""Name -> a number, or numbers along something, such as the accuracy at each density."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How a figure is shown: what it is called, its unit, which way is better.

    A figure of numbers is drawn against the figure `over`, which has as many. What is only `aside` is in the rows, and
    is shown when it is asked for.
    """

    label: str
    unit: str = ""
    better: Better = ""
    over: str = ""
    aside: bool = False


@runtime_checkable
class Experiment(Protocol):
    """A frozen dataclass whose fields are the settings.

    It may have `shape`, and a class method `together(jobs)` that takes (experiment, seed) pairs of one shape and gives
    the figures of each: then many run at a time in one process.
    """

    def run(self, seed: int) -> Figures:
        """The figures, which settings and seed decide."""
        ...


def place(default: Any = MISSING) -> Any:
    """A setting that names a file or folder, which studies take from their own; without a default it must be given."""
    return field(default=default, metadata={"place": True})


def at(experiment: T, folder: Path) -> T:
    """The experiment with its places taken from `folder`; one that has `at` says itself what these are.

    Raises:
        DataError: nothing is at a place.
    """
    own = getattr(experiment, "at", None)
    if callable(own):
        return own(folder)  # type: ignore[return-value]
    given = {f.name: getattr(experiment, f.name) for f in fields(experiment) if f.metadata.get("place")}  # type: ignore[arg-type]
    for name, value in given.items():
        if value and not (folder / value).exists():
            raise DataError(f"{name} is '{value}', and nothing is at {folder / value}; name a file that is there")
    moved = {n: str(folder / v) for n, v in given.items() if v}
    return replace(experiment, **moved) if moved else experiment  # type: ignore[type-var]
