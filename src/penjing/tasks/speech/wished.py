"""Recordings as people name them: what the tasks of sound have in common."""

from penjing.data.sounds import Sounds, read_sounds
from penjing.errors import DataError
from penjing.tasks.kind import Asked, named, parted


def recordings(kind: str, wish: str, asked: Asked, *, words: bool) -> tuple[Sounds, str]:
    """(as many recordings of the folder as are asked for, the name of their task), with their `words` or classes.

    Raises:
        DataError: there is no such folder, or it has the other of the two.
    """
    paths, _ = parted(wish, {}, kind)
    if len(paths) != 1:
        raise DataError(f"found {len(paths)} paths, {', '.join(paths)}; needed one folder of recordings")
    sounds = read_sounds(paths[0])
    if bool(sounds.texts) != words:
        found, needed = ("classes", "words") if words else ("words", "classes")
        raise DataError(f"{paths[0]} has recordings with their {found}, needed {needed}; see how each is written down")
    return sounds.take(asked.limit, seed=asked.seed), named(paths[0])
