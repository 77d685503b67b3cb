"""Figures part by part, so that a measurement that was stopped goes on with the parts that are missing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from penjing.core import Measurement
from penjing.io import write_whole, writing

Figures = Mapping[str, Sequence[Measurement]]
"""What one part of measuring gave, under names of its own."""


class Parts:
    """Keeps nothing: every part is taken."""

    def take(self, key: str, make: Callable[[], Figures]) -> Figures:
        """The part of this key, made if it is not known."""
        return make()


class KeptParts(Parts):
    """Parts in files of a folder, each written once it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, key: str, make: Callable[[], Figures]) -> Figures:
        """The part of this key: the one that is kept, or else made and kept.

        Raises:
            OutputError: the folder cannot be written to.
        """
        place = self._folder / f"{sha256(key.encode()).hexdigest()[:24]}.json"
        known = _kept(place)
        if known is not None:
            return known
        text = json.dumps({name: [asdict(f) for f in figures] for name, figures in make().items()})
        with writing(place):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(place, text.encode())
        return _figures(text)


def _kept(place: Path) -> Figures | None:
    """What is kept, or None when nothing is or the file is damaged."""
    try:
        return _figures(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _figures(text: str) -> Figures:
    return {name: [Measurement(**f) for f in figures] for name, figures in json.loads(text).items()}
