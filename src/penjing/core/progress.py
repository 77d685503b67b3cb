"""How long work says where it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is (0 when not known)."""


def silent(what: str, done: int, total: int) -> None:
    """Say nothing."""


def counter(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """A callback for code that only knows how much has just been done."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        progress(what, done, total)

    return advance
