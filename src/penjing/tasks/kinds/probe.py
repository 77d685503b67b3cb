"""`probe:TRAIN,TEST`: accuracy of a linear probe on the features of a model, fitted for each model.

Of one path alone, one half is fitted on and the other judged.
"""

from collections.abc import Mapping, Sequence

from penjing.data.images import Images
from penjing.tasks.images.accuracy import ImageAccuracy
from penjing.tasks.images.wished import OWN, SIZE, judged, pictures
from penjing.tasks.kind import Asked, Kind, named, parted, whole
from penjing.tasks.task import Task

SETTINGS = {**SIZE, "train": OWN["train"]}


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the file that is judged on, with `-probe` behind it.

    Raises:
        DataError: a path or setting is wrong, pictures cannot be read, or some are in both sets.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    paths, told = parted(data, SETTINGS, "probe")
    name, size = f"{named(paths[-1])}-probe", whole(told, "size")
    if len(paths) == 2:
        train, test = pictures(paths[:1], size), pictures(paths[1:], size)
    else:
        train, test = pictures(paths, size).split((0.5, 0.5), seed=asked.seed)
    return [judged(test, train, _make, told, name, asked)]


def _make(images: Images, name: str, told: Mapping[str, str], seed: int) -> ImageAccuracy:
    return ImageAccuracy(images=images, name=name, seed=seed)


KIND = Kind(read=read, better="higher", settings=SETTINGS)
