"""Folders of recordings, each with what is said in it or the class that it belongs to."""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.data.jsonl import records
from penjing.errors import DataError, MissingExtraError

KINDS = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"})
TABLES = ("metadata.csv", "metadata.jsonl")
SAID = ("transcription", "transcript", "text", "sentence")
"""Names of the column with what is said, the first that is there."""
LONGEST = 600.0
"""Seconds of one recording at most."""


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """Recordings in files, and for each what is said in it (`texts`), or the place of its class among `names`."""

    files: tuple[Path, ...]
    ids: tuple[str, ...]
    texts: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    source: str
    sha256: str

    def __len__(self) -> int:
        return len(self.files)

    def take(self, count: int | None, *, seed: int) -> "Sounds":
        """As many, drawn by the seed and in their order; all, if there are no more."""
        if count is None or count >= len(self):
            return self
        places = sorted(random.Random(seed).sample(range(len(self)), count))

        def those(column: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(column[i] for i in places) if column else ()

        return replace(
            self, files=those(self.files), ids=those(self.ids), texts=those(self.texts), labels=those(self.labels)
        )

    def wave(self, place: int, rate: int) -> Tensor:
        """[samples] float32 at `rate` samples a second, all channels averaged.

        Raises:
            DataError: the file cannot be decoded, is empty or too long.
            MissingExtraError: the packages that read sound are not installed.
        """
        return read_wave(self.files[place], rate)


def read_sounds(path: str | Path) -> Sounds:
    """The recordings of a folder, without reading their sound.

    What is said stands in a table `metadata.csv` or `metadata.jsonl` (`file_name` and `transcription`), in files
    `*.trans.txt` as LibriSpeech has (an id and the words on each line), or beside each recording in a file of its name
    that ends in .txt. Without these, each sub-folder is a class.

    Raises:
        DataError: there is no recording, or one without its words, or a file that is named is not there.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"found no folder at {root}, needed one with recordings in it; check the path")
    found = _table(root) or _lists(root) or _beside(root)
    if found:
        files, texts = zip(*found, strict=True)
        return _made(root, files, texts=texts)
    classes = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    held = [(file, i) for i, folder in enumerate(classes) for file in _sounds_in(folder)]
    if not held:
        raise DataError(
            f"{root} holds no recordings with their words (metadata.csv, *.trans.txt, or a .txt beside each) and no "
            f"sub-folders of classes; known are {', '.join(sorted(KINDS))}"
        )
    files, labels = zip(*held, strict=True)
    return _made(root, files, labels=labels, names=tuple(c.name for c in classes))


def read_wave(path: Path, rate: int) -> Tensor:
    """[samples] float32 of a file, at `rate` samples a second, all channels averaged.

    Raises:
        DataError: the file cannot be decoded, is empty or too long.
        MissingExtraError: the packages that read sound are not installed.
    """
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise MissingExtraError(str(error.name), "audio", "reading recordings") from error
    try:
        info = soundfile.info(path)
        if info.duration > LONGEST:
            raise DataError(f"{path} is {info.duration:.0f} s long, the longest is {LONGEST:.0f}; cut it into pieces")
        wave, own = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path} cannot be read as sound ({error}); convert it to .wav") from error
    if not len(wave):
        raise DataError(f"{path} holds no sound; take it out")
    one = wave.mean(axis=1)
    return torch.from_numpy(one if own == rate else soxr.resample(one, own, rate).astype("float32"))


def _table(root: Path) -> list[tuple[Path, str]]:
    place = next((root / name for name in TABLES if (root / name).is_file()), None)
    if place is None:
        return []
    out = []
    for where, row in _rows(place):
        name = row.get("file_name")
        said = next((row[k] for k in SAID if isinstance(row.get(k), str)), None)
        if not isinstance(name, str) or said is None:
            raise DataError(f"{where}: needed the columns file_name and {SAID[0]}; found {', '.join(map(str, row))}")
        file = root / name
        if not file.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{where}: '{name}' leads out of the folder; move the recording into it")
        if not file.is_file():
            raise DataError(f"{where}: there is no file '{name}'; take the line out, or put the recording there")
        out.append((file, said))
    return out


def _rows(place: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if place.suffix == ".jsonl":
        for record in records(place):
            yield record.where, dict(record.fields)
        return
    with place.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            yield f"{place}, line {number}", dict(row)


def _lists(root: Path) -> list[tuple[Path, str]]:
    out = []
    for place in sorted(root.rglob("*.trans.txt")):
        for line in place.read_text(encoding="utf-8").splitlines():
            name, _, said = line.strip().partition(" ")
            if not name:
                continue
            file = next((f for kind in sorted(KINDS) if (f := place.parent / f"{name}{kind}").is_file()), None)
            if file is None:
                raise DataError(f"{place}: there is no recording '{name}'; take the line out, or put it there")
            out.append((file, said))
    return out


def _beside(root: Path) -> list[tuple[Path, str]]:
    pairs = [(f, f.with_suffix(".txt")) for f in _sounds_in(root)]
    if not any(text.is_file() for _, text in pairs):
        return []
    if lost := [f for f, text in pairs if not text.is_file()]:
        raise DataError(f"{lost[0]} has no words beside it ({lost[0].stem}.txt), others have; write them")
    return [(f, text.read_text(encoding="utf-8").strip()) for f, text in pairs]


def _sounds_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in KINDS and not p.name.startswith("."))


def _made(
    root: Path, files: Sequence[Path], *, texts: Sequence[str] = (), labels: Sequence[int] = (),
    names: tuple[str, ...] = (),
) -> Sounds:  # fmt: skip
    ids = tuple(f.relative_to(root).as_posix() for f in files)
    digest = sha256()
    for i, file in enumerate(files):
        said = texts[i] if texts else str(labels[i])
        digest.update(f"{ids[i]}\0{said}\0".encode("utf-8", "surrogateescape"))
        digest.update(sha256(file.read_bytes()).digest())
    return Sounds(
        files=tuple(files), ids=ids, texts=tuple(texts), labels=tuple(labels), names=names, source=str(root),
        sha256=digest.hexdigest(),
    )  # fmt: skip
