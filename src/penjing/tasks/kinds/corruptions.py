"""`corruptions:PATH`: accuracy of a classifier on pictures under common corruptions.

PATH is what `images` takes. All 15 common corruptions in 5 severities, unless others are named.
"""

from collections.abc import Mapping, Sequence

from penjing.data.images import Images
from penjing.errors import DataError
from penjing.tasks.images.corrupted import Corrupted
from penjing.tasks.images.corruptions import COMMON, EXTRA, SEVERITIES
from penjing.tasks.images.wished import OWN, SIZE, of_pictures
from penjing.tasks.kind import Asked, Kind
from penjing.tasks.task import Task

SETTINGS = {
    **SIZE,
    **OWN,
    "kinds": "which corruptions, joined by +, or all",
    "severities": "which severities, 1 to 5, joined by +",
}


def read(data: str, asked: Asked) -> Sequence[Task]:
    """One task, named like the file, with `-corrupted` behind it.

    Raises:
        DataError: a path or setting is wrong, or pictures cannot be read.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    return [of_pictures("corruptions", data, asked, _make, SETTINGS, "-corrupted")]


def _make(images: Images, name: str, told: Mapping[str, str], seed: int) -> Corrupted:
    kinds = tuple(told["kinds"].split("+")) if "kinds" in told else COMMON
    kinds = (*COMMON, *EXTRA) if kinds == ("all",) else kinds
    try:
        severities = tuple(int(s) for s in told["severities"].split("+")) if "severities" in told else SEVERITIES
    except ValueError:
        given = told["severities"]
        raise DataError(f"severities is '{given}'; needed numbers joined by +, as severities=1+3+5") from None
    return Corrupted(images=images, kinds=kinds, severities=severities, seed=seed, name=name)


KIND = Kind(read=read, better="higher", settings=SETTINGS)
