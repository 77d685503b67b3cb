"""`speech:FOLDER`: word error rate of a model that writes down what is said, on recordings with their words.

The words stand in `metadata.csv` (`file_name`, `transcription`), in `*.trans.txt` as LibriSpeech has, or beside each
recording in a .txt file of its name. CTC models take the best path, others write greedily.
"""

from collections.abc import Sequence

from penjing.tasks.kind import Asked, Kind
from penjing.tasks.speech.wished import recordings
from penjing.tasks.speech.words import WordErrors
from penjing.tasks.task import Task


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the folder.

    Raises:
        DataError: there are no recordings with their words.
    """
    sounds, name = recordings("speech", data, asked, words=True)
    return [WordErrors(sounds=sounds, name=name)]


KIND = Kind(read=read, better="lower")
