"""`sounds:FOLDER`: accuracy of a classifier of recordings, which lie in a sub-folder for each class."""

from collections.abc import Sequence

from penjing.tasks.kind import Asked, Kind
from penjing.tasks.speech.classes import SoundAccuracy
from penjing.tasks.speech.wished import recordings
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the folder.

    Raises:
        DataError: there are no folders of classes with recordings in them.
    """
    sounds, name = recordings("sounds", data, asked, words=False)
    return [SoundAccuracy(sounds=sounds, name=name)]


KIND = Kind(read=read, better="higher")
