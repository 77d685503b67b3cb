"""Read the header of a GGUF file; whatever is wrong with it is a `CheckpointError`.

Source: the description of the format at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any, NoReturn

from penjing.errors import CheckpointError

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
VERSIONS = (2, 3)
LONGEST_KEY = 65_535
REMEDY = "get the file again from where it came"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as the file has it: `kind` is ggml's number of its type, `shape` row-major, `offset` in the file."""

    name: str
    kind: int
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A list among the metadata: only its length is kept, lists can be vocabularies."""

    count: int


@dataclass(frozen=True)
class GgufHeader:
    """Metadata and tensors of a GGUF file, in the order of the file; `length` is the bytes they take."""

    path: Path
    size: int
    length: int
    metadata: Mapping[str, Any]
    tensors: tuple[Stored, ...]


def read_gguf_header(path: Path) -> GgufHeader:
    """The header of a GGUF file; that tensors end inside the file is for who knows their types to check.

    Raises:
        CheckpointError: the file cannot be read, is not GGUF, is truncated, or contradicts itself.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file).header()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


class _Reader:
    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path = path
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.place = 0

    def header(self) -> GgufHeader:
        magic = self.take(4)
        if magic != b"GGUF":
            self.refuse(f"begins with {magic!r}", "a GGUF file begins with b'GGUF'")
        version = self.number("I")
        if version not in VERSIONS:
            self.refuse(f"is GGUF of version {version}", "versions 2 and 3 (little-endian) can be read")
        tensors, entries = self.number("Q"), self.number("Q")
        # The least that one of each takes in the file bounds what a damaged count can make us do.
        if tensors * 24 + entries * 13 > self.size:
            self.refuse(f"claims {tensors} tensors and {entries} entries", f"it has only {self.size} bytes")
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self.text(LONGEST_KEY)
            if key in metadata:
                self.refuse(f"has the entry {key[:80]!r} twice", "keys must be unique")
            metadata[key] = self.value(self.number("I"))
        found = [self.tensor() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            self.refuse(f"has alignment {alignment!r}", "a power of two was needed")
        start = -(-self.place // alignment) * alignment
        names: set[str] = set()
        for tensor in found:
            if tensor.name in names:
                self.refuse(f"has the tensor {tensor.name[:80]!r} twice", "names must be unique")
            if tensor.offset % alignment:
                self.refuse(f"has {tensor.name[:80]!r} at {tensor.offset}", f"a multiple of {alignment} was needed")
            names.add(tensor.name)
        placed = tuple(Stored(t.name, t.kind, t.shape, start + t.offset) for t in found)
        return GgufHeader(self.path, self.size, self.place, metadata, placed)

    def tensor(self) -> Stored:
        name = self.text(LONGEST_KEY)
        count = self.number("I")
        if count > 4:
            self.refuse(f"gives {name[:80]!r} {count} dimensions", "at most 4 are possible")
        shape = tuple(self.number("Q") for _ in range(count))[::-1]
        if prod(shape) > 2**48:
            self.refuse(f"gives {name[:80]!r} the shape {list(shape)}", "that is more than any file holds")
        return Stored(name, self.number("I"), shape, self.number("Q"))

    def value(self, kind: int) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == TEXT:
            return self.text(self.size)
        if kind != ARRAY:
            self.refuse(f"has an entry of unknown type {kind} before byte {self.place}", "types 0 to 12 are known")
        inner, count = self.number("I"), self.number("Q")
        if inner in NUMBERS:
            self.skip(count * struct.calcsize("<" + NUMBERS[inner]))
        elif inner == TEXT:
            if count * 8 > self.size - self.place:
                self.refuse(f"claims a list of {count} texts at byte {self.place}", "it has not as many bytes left")
            for _ in range(count):
                self.skip(self.number("Q"))
        else:
            self.refuse(f"has a list of type {inner}", "lists of numbers and of texts can be read")
        return Listed(count)

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self, most: int) -> str:
        length = self.number("Q")
        if length > most:
            self.refuse(f"has a text of {length} bytes at byte {self.place}", f"at most {most} are possible")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            self.refuse(f"has a text before byte {self.place} that is not UTF-8", "it is damaged")

    def take(self, count: int) -> bytes:
        data = self.file.read(count) if count <= self.size - self.place else b""
        if len(data) != count:
            self.refuse(f"ends at byte {self.size} inside its header", f"{count} more at {self.place} were needed")
        self.place += count
        return data

    def skip(self, count: int) -> None:
        if count > self.size - self.place:
            self.refuse(f"ends at byte {self.size} inside its header", f"{count} more at {self.place} were needed")
        self.file.seek(count, os.SEEK_CUR)
        self.place += count

    def refuse(self, found: str, needed: str) -> NoReturn:
        raise CheckpointError(f"{self.path} {found}; {needed}; {REMEDY}")
