"""`speech:FOLDER`: word error rate of a model that writes down what is said, on recordings with their words.

The words stand in `metadata.csv` (`file_name`, `transcription`), in `*.trans.txt` as LibriSpeech has, or beside each
recording in a .txt file of its name. CTC models take the best path, others write greedily.
"""

from collections.abc import Sequence

from penjing.data.sounds import read_sounds
from penjing.errors import DataError
from penjing.tasks.kind import Asked, Kind, named, parted
from penjing.tasks.speech.words import WordErrors
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the folder.

    Raises:
        DataError: there are no recordings with their words.
    """
    paths, _ = parted(data, {}, "speech")
    if len(paths) != 1:
        raise DataError(f"found {len(paths)} paths, {', '.join(paths)}; needed one folder of recordings")
    sounds = read_sounds(paths[0])
    if not sounds.texts:
        raise DataError(
            f"{paths[0]} has recordings by class and not their words; write these down, or take the task for classes"
        )
    return [WordErrors(sounds=sounds.take(asked.limit, seed=asked.seed), name=named(paths[0]))]


KIND = Kind(read=read, better="lower")
