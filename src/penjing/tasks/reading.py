"""Tasks as people name them: a file, or `KIND:DATA` with a kind's name before what it reads."""

from collections.abc import Callable, Sequence
from pathlib import Path

from penjing.errors import DataError, nearest
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.kinds import TASKS, typed, wishes
from penjing.tasks.task import Task


def read_tasks(wanted: Sequence[str], *, limit: int | None = None, shots: int = 0, seed: int = 0) -> tuple[Task, ...]:
    """The tasks that are named, in order; `limit` items each at most, drawn by `seed`.

    A bare `FILE` is a BIG-bench `task.json` (or its folder), or a `.jsonl` of questions with "choices". With a kind's
    name before it, it is that kind's (`name:FILE`), and settings may follow (`name:FOLDER,size=224`). `shots` solved
    examples precede each question of the tasks that have such.

    Raises:
        DataError: a kind is unknown, a file cannot be read, or two tasks have one name.
    """
    asked = Asked(limit=limit, shots=shots, seed=seed)
    out: list[Task] = []
    for wish in wanted:
        kind, data = _parted(wish)
        out += kind.read(data, asked)
    names = [t.name for t in out]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{names.count(name)} tasks are called '{name}'; give their files different names")
    return tuple(out)


def moved(wish: str, at: Callable[[str], str]) -> str:
    """What was typed, with each of its places as `at` gives it.

    Raises:
        DataError: its kind is unknown.
    """
    kind, data = _parted(wish)
    if data == wish:
        return at(wish)
    return f"{wish.partition(':')[0]}:{kind.moved(data, at)}" if data else wish


def _parted(wish: str) -> tuple[Kind, str]:
    """(kind, what it reads) of what was typed."""
    name, colon, data = wish.partition(":")
    known = {typed(n): n for n in TASKS.names()}
    if colon and not Path(wish).exists():
        if name not in known:
            raise DataError(f"no kind of task is named '{name}'{nearest(name, known)}; there are {', '.join(known)}")
        return TASKS.load(known[name]).KIND, data
    if wish in known and not Path(wish).exists():
        kind = TASKS.load(known[wish]).KIND
        if not kind.alone:
            how = wishes().get(wish, f"{wish}:DATA")
            raise DataError(f"{wish} names no data; write {how}")
        return kind, ""
    able = [kind for file in TASKS.load_all().modules.values() if (kind := file.KIND).bare(Path(wish))]
    if len(able) != 1:
        what = "several kinds of task take" if able else "no kind of task takes"
        raise DataError(f"{what} {wish} by itself; put the name of one before it (NAME:{wish}): {', '.join(known)}")
    return able[0], wish
