"""What a kind of task is: how it is named, what it reads, and which tasks that makes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penjing.core.report import Better
from penjing.errors import DataError, nearest
from penjing.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of every task alike: `limit` items at most, drawn by `seed`; `shots` solved examples first."""

    limit: int | None = None
    shots: int = 0
    seed: int = 0


def no_file(path: Path) -> bool:
    """Takes no file without the kind's name before it."""
    return False


def every_part(data: str, at: Callable[[str], str]) -> str:
    """`PATH,PATH,setting=value` with its paths changed."""
    return ",".join(part if "=" in part else at(part) for part in data.split(","))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of task. Its name on the command line is its file's, with `-` for `_`; `name:DATA` is a wish for it.

    The first line of the file says how it is typed and what it is, as "`name:FILE.jsonl`: questions of a kind.": help,
    errors and pages are made of that line. `read` makes the tasks of what stands behind the colon. `better` is
    the better way of the main figure, empty where it depends on the data. `settings` (name -> what it does) may follow
    the data, as in `,size=224`. `bare` says which files are of this kind without its name; `alone` that its name is
    enough. `title` is the name as its makers write it. `moved` gives the data with its places changed, when what was
    written in one folder is read in another.
    """

    read: Callable[[str, Asked], Sequence[Task]]
    better: Better
    settings: Mapping[str, str] = field(default_factory=dict)
    bare: Callable[[Path], bool] = no_file
    title: str = ""
    moved: Callable[[str, Callable[[str], str]], str] = every_part
    alone: bool = False


def parted(wish: str, settings: Mapping[str, str], kind: str) -> tuple[list[str], dict[str, str]]:
    """(paths, settings) of `PATH,PATH,setting=value`.

    Raises:
        DataError: a setting is unknown or named twice, or there is no path.
    """
    if wish and Path(wish).exists():
        return [wish], {}
    paths: list[str] = []
    told: dict[str, str] = {}
    for part in wish.split(","):
        key, equals, value = part.partition("=")
        if not equals or Path(part).exists():
            paths.append(part)
        elif key not in settings:
            raise DataError(f"{kind} has no setting '{key}'{nearest(key, settings)}; there are {', '.join(settings)}")
        elif key in told:
            raise DataError(f"{kind} has the setting '{key}' twice; name it once")
        else:
            told[key] = value
    if not any(paths):
        raise DataError(f"{kind} names no data; write {kind}:PATH")
    return paths, told


def whole(told: Mapping[str, str], key: str) -> int | None:
    """The whole number that a setting has, or None without it.

    Raises:
        DataError: it is not one above 0.
    """
    if (given := told.get(key)) is None:
        return None
    if not given.isdigit() or int(given) < 1:
        raise DataError(f"{key} is '{given}', needed a whole number above 0")
    return int(given)


def named(file: str) -> str:
    """A short name from a file's: lower case, no colons; of `task.json` the folder's.

    >>> named("tasks/Arithmetic/task.json")
    'arithmetic'
    """
    path = Path(file)
    stem = path.parent.name if path.name == "task.json" else path.stem
    return spelt(stem)


def spelt(name: str) -> str:
    """A name as a figure's: lower case, no colons; dots stay, so a subtask keeps its own part of the name.

    >>> spelt("cause_and_effect.Two Sentences")
    'cause_and_effect.two-sentences'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "task"
