"""`images:PATH`: accuracy and calibration of a classifier on labelled pictures.

PATH is a folder with one sub-folder a class, an `.npz` with `x` and `y`, or an idx file (its labels after a comma,
unless they lie beside it).
"""

from collections.abc import Mapping, Sequence

from penjing.data.images import Images
from penjing.tasks.images.accuracy import ImageAccuracy
from penjing.tasks.images.wished import OWN, SIZE, of_pictures
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

SETTINGS = {**SIZE, **OWN}


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the file.

    Raises:
        DataError: a path or setting is wrong, or pictures cannot be read.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    return [of_pictures("images", data, asked, _make, SETTINGS)]


def _make(images: Images, name: str, told: Mapping[str, str], seed: int) -> ImageAccuracy:
    return ImageAccuracy(images=images, name=name, seed=seed)


KIND = Kind(read=read, better="higher", settings=SETTINGS)
