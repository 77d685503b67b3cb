"""Texts of data sets, read by the package `datasets`: of the hub by name, or from a folder that it saved."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penjing.errors import DataError

NAMED = "datasets:"
SAVED = ("state.json", "dataset_dict.json")
"""What `save_to_disk` leaves in a folder: of one part, or of several."""


def is_saved(place: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return any((place / name).is_file() for name in SAVED)


def named_texts(name: str, characters: int) -> list[str]:
    """The first texts of a data set that has a column "text": `datasets:NAME` or `datasets:NAME:CONFIG`.

    It is read from its "train" part, until there are enough `characters`.

    Raises:
        DataError: the package is not installed, or the data set cannot be reached or has no such texts.
    """
    title, _, config = name.removeprefix(NAMED).partition(":")
    load = _package(name).load_dataset
    try:
        return _first(load(title, config or None, split="train", streaming=True), characters)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"the data set '{title}' cannot be read ({said}); check its name and the network, or name .txt or .jsonl "
            "files"
        ) from error


def saved_texts(place: Path) -> list[str]:
    """All texts of a folder that `save_to_disk` wrote; of several parts, "train" or else the only one.

    Raises:
        DataError: the package is not installed, or there is no such part, or no column "text".
    """
    load = _package(str(place)).load_from_disk
    try:
        found = load(str(place))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"the data set in {place} cannot be read ({said}); save it anew with save_to_disk") from error
    if isinstance(found, Mapping):
        part = "train" if "train" in found else next(iter(found)) if len(found) == 1 else ""
        if not part:
            raise DataError(f"{place} has the parts {', '.join(found)}, needed one; name the folder of one of them")
        found = found[part]
    if "text" not in found.column_names:
        raise DataError(f"{place} has the columns {', '.join(found.column_names)}, needed one named 'text'; rename it")
    return _first(found, None)


def _first(rows: Iterable[Mapping[str, Any]], characters: int | None) -> list[str]:
    texts, held = [], 0
    for row in rows:
        texts.append(str(row["text"]))
        held += len(texts[-1])
        if characters is not None and held >= characters:
            break
    return texts


def _package(name: str) -> Any:
    try:
        import datasets  # type: ignore[import-not-found]
    except ImportError:
        raise DataError(
            f"'{name}' needs the package 'datasets', which is not installed; pip install datasets, or name .txt or "
            ".jsonl files"
        ) from None
    return datasets
