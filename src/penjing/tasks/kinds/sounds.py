"""`sounds:FOLDER`: accuracy of a classifier of recordings, which lie in a sub-folder for each class."""

from collections.abc import Sequence

from penjing.data.sounds import read_sounds
from penjing.errors import DataError
from penjing.tasks.kind import Asked, Kind, named, parted
from penjing.tasks.speech.classes import SoundAccuracy
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the folder.

    Raises:
        DataError: there are no folders of classes with recordings in them.
    """
    paths, _ = parted(data, {}, "sounds")
    if len(paths) != 1:
        raise DataError(f"found {len(paths)} paths, {', '.join(paths)}; needed one folder of recordings")
    sounds = read_sounds(paths[0])
    if not sounds.names:
        raise DataError(
            f"{paths[0]} has recordings with their words and no classes; sort them into folders, or take that for words"
        )
    return [SoundAccuracy(sounds=sounds.take(asked.limit, seed=asked.seed), name=named(paths[0]))]


KIND = Kind(read=read, better="higher")
