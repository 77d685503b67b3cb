"""Pictures as people name them, with their labels or a probe: what the tasks of pictures have in common."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from penjing.data.images import Images, read_images
from penjing.errors import DataError, nearest
from penjing.tasks.images.accuracy import ImageAccuracy
from penjing.tasks.images.corrupted import Corrupted
from penjing.tasks.images.labelled import LABELS, Labelled, Labels
from penjing.tasks.images.probed import Probed, Training, require_other
from penjing.tasks.kind import Asked, named, parted, whole
from penjing.tasks.task import Task

Make = Callable[[Images, str, Mapping[str, str], int], ImageAccuracy | Corrupted]
"""(pictures, name, settings, seed) -> the task on them, as if the model's outputs were their labels."""

SIZE = {"size": "pixels of a side, for folders of pictures of different sizes"}
OWN = {
    "labels": "how labels are matched with outputs: auto, name or index",
    "probe": "pictures to fit a linear probe on, instead of the model's own head",
    "train": "how many of them at most",
}
"""Settings of the tasks of pictures -> what they do."""


def of_pictures(kind: str, wish: str, asked: Asked, make: Make, settings: Mapping[str, str], tail: str = "") -> Task:
    """The task `kind:wish`; `wish` is PATH[,LABELS][,setting=value...], and its name that of the file, and `tail`.

    Raises:
        DataError: a path or setting is wrong, pictures cannot be read, or the probe would see what it is judged on.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    paths, told = parted(wish, settings, kind)
    images, train = pictures(paths, whole(told, "size")), None
    if "probe" in told:
        train = pictures([told["probe"]], whole(told, "size"))
    return judged(images, train, make, told, named(paths[-1]) + tail, asked)


def judged(
    images: Images, train: Images | None, make: Make, told: Mapping[str, str], name: str, asked: Asked
) -> Task:
    """The task on pictures by the model's own head, or by a probe that is fitted on `train`.

    Raises:
        DataError: a setting is wrong, or a picture is in both.
    """
    given = told.get("labels", "auto")
    known: dict[str, Labels] = {one: one for one in LABELS}
    labels = known.get(given)
    if labels is None:
        raise DataError(f"labels is '{given}'{nearest(given, LABELS)}; needed one of {', '.join(LABELS)}")
    images = _taken(images, asked.limit, asked.seed)
    inner = make(images, name, told, asked.seed)
    if train is None:
        return Labelled(task=inner, labels=labels)
    train = _taken(train, whole(told, "train"), asked.seed)
    require_other(train, images)
    return Probed(task=inner, training=Training(images=train))


def pictures(paths: Sequence[str], size: int | None) -> Images:
    """The pictures of a folder, an .npz file, or an idx file and its labels (beside it, if they are not named).

    Raises:
        DataError: there are more paths, or they cannot be read.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    if len(paths) > 2:
        raise DataError(f"found {len(paths)} paths, {', '.join(paths)}; needed one, or an idx file and its labels")
    path = Path(paths[0])
    labels = Path(paths[1]) if len(paths) == 2 else None
    if labels is None and path.is_file() and path.suffix != ".npz":
        beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        labels = beside if beside != path and beside.is_file() else None
    return read_images(path, labels=labels, size=size)


def _taken(images: Images, count: int | None, seed: int) -> Images:
    return images.take(None if count is None else min(count, len(images)), seed=seed)
