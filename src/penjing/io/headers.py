"""Read and write the headers of safetensors files; whatever is wrong with a header is a `CheckpointError`.

Source: the description of the format at https://github.com/huggingface/safetensors: eight bytes that give the
length of a JSON object (little-endian), the object, then the bytes of the tensors without gaps or overlaps.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from penjing.errors import CheckpointError
from penjing.io.spans import KINDS, Span, TensorSpec

LONGEST_HEADER = 100_000_000
"""Bytes; the reference implementation refuses longer headers as well."""

MOST_DIMENSIONS = 64
LARGEST_DIMENSION = 2**63 - 1
REMEDY = "get the file again from where it came"


class Entry(NamedTuple):
    """What a header says of one tensor: the code of its dtype, its shape as torch counts it, and its bytes."""

    code: str
    shape: tuple[int, ...]
    span: Span


@dataclass(frozen=True)
class Header:
    """What one safetensors file holds, in the order of its bytes, and where."""

    path: Path
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    raw: bytes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors in the order of their bytes."""
        return tuple(self.entries)

    @property
    def spans(self) -> dict[str, Span]:
        """Name -> where the bytes lie."""
        return {name: entry.span for name, entry in self.entries.items()}

    @cached_property
    def tensors(self) -> dict[str, TensorSpec]:
        """Name -> the tensor, with its dtype in torch, which is imported only now.

        Raises:
            CheckpointError: the installed torch has no such dtype.
        """
        from penjing.io.dtypes import DTYPES

        for name, entry in self.entries.items():
            if entry.code not in DTYPES:
                found = f"has tensor '{_short(name)}' of dtype {entry.code}, which the installed torch lacks"
                raise CheckpointError(f"{self.path} {found}; known are {', '.join(DTYPES)}; install a newer torch")
        return {name: TensorSpec(name, DTYPES[entry.code], entry.shape) for name, entry in self.entries.items()}


def read_header(path: Path) -> Header:
    """The header of a safetensors file, fully checked against the size of the file.

    Raises:
        CheckpointError: the file cannot be opened, is not a safetensors file, is truncated, or contradicts itself.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(8)
            if len(first) < 8:
                _refuse(path, f"is {size} bytes long", "a safetensors file has at least 10")
            length = int.from_bytes(first, "little")
            if length > LONGEST_HEADER:
                what = f"claims a header of {length} bytes, and {LONGEST_HEADER} is the most that is read"
                _refuse(path, what, "it is not a safetensors file, or it is damaged")
            if length > size - 8:
                _refuse(path, f"claims a header of {length} bytes", f"the file has {max(size - 8, 0)} after the length")
            raw = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) < length:
        _refuse(path, f"ended after {len(raw)} of {length} bytes of header", "it is truncated")
    return parse_header(raw, path, size)


def parse_header(raw: bytes, path: Path, size: int) -> Header:
    """The header in `raw`, as of a file `path` of `size` bytes in all.

    Raises:
        CheckpointError: as `read_header`.
    """
    table = _json(raw, path)
    metadata = _metadata(table.pop("__metadata__", {}), path)
    start = 8 + len(raw)
    entries = [(name, *_entry(name, value, path)) for name, value in table.items()]
    entries.sort(key=lambda e: (e[3], e[4]))
    place = 0
    for name, _, _, begin, end in entries:
        if begin != place:
            kind = "overlaps the tensor before it" if begin < place else "leaves a hole before it"
            _refuse(path, f"tensor '{name}' begins at byte {begin} and {kind}", f"byte {place} was needed")
        place = end
    if start + place != size:
        what = "is truncated" if start + place > size else "has bytes that belong to no tensor"
        _refuse(path, f"{what}: its header describes {start + place} bytes", f"the file has {size}")
    return Header(
        path=path,
        entries={
            name: Entry(code, shape, Span(path, start + begin, end - begin))
            for name, code, shape, begin, end in entries
        },
        metadata=metadata,
        raw=raw,
    )


def build_header(tensors: Sequence[TensorSpec], metadata: Mapping[str, str]) -> tuple[bytes, dict[str, int]]:
    """The first bytes of a safetensors file (length and header) and the offset of each tensor in that file.

    Tensors with wider elements come first, which keeps every one aligned: loaders that map the file need that.
    """
    from penjing.io.dtypes import CODES

    table: dict[str, Any] = {"__metadata__": dict(metadata)}
    offsets: dict[str, int] = {}
    place = 0
    for tensor in sorted(tensors, key=lambda t: -t.dtype.itemsize):
        shape = list(tensor.shape)
        code = CODES[tensor.dtype]
        if code == "F4":
            shape[-1] *= 2
        table[tensor.name] = {"dtype": code, "shape": shape, "data_offsets": [place, place + tensor.length]}
        offsets[tensor.name] = place
        place += tensor.length
    raw = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    first = len(raw).to_bytes(8, "little") + raw
    return first, {name: offset + len(first) for name, offset in offsets.items()}


def _refuse(path: Path, found: str, needed: str) -> NoReturn:
    raise CheckpointError(f"{path} {found}; {needed}; {REMEDY}")


def _json(raw: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) < len(pairs):
            seen: set[str] = set()
            twice = next(k for k, _ in pairs if k in seen or seen.add(k))
            _refuse(path, f"names '{_short(twice)}' twice in its header", "names must be unique")
        return out

    def constant(text: str) -> NoReturn:
        _refuse(path, f"has {text} in its header", "sizes must be whole numbers")

    if not raw.startswith(b"{"):
        _refuse(path, f"has a header that begins with {raw[:8]!r}", "a safetensors header begins with '{'")
    try:
        table = json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError as error:
        _refuse(path, f"has a header that is not UTF-8 at byte {error.start}", "it is damaged")
    except RecursionError:
        _refuse(path, "has a header nested too deep", "a safetensors header is a flat table")
    except ValueError as error:
        _refuse(path, f"has a header that is not JSON: {_short(str(error))}", "it is damaged")
    return table


def _metadata(value: object, path: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        _refuse(path, f"has '__metadata__' of {_short(repr(value))}", "it must be a table of texts")
    return value


def _entry(name: str, value: object, path: Path) -> tuple[str, tuple[int, ...], int, int]:
    where = f"tensor '{_short(name)}'"
    try:
        name.encode()
    except UnicodeEncodeError:
        _refuse(path, f"names a tensor {name[:60]!r}", "names must be valid UTF-8")
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= value.keys():
        _refuse(path, f"describes {where} as {_short(repr(value))}", "a dtype, a shape and data_offsets were needed")
    code, shape, place = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in KINDS:
        known = ", ".join(KINDS)
        _refuse(path, f"has {where} of dtype {_short(repr(code))}", f"known are {known}")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS or not all(_size(n) for n in shape):
        _refuse(path, f"has {where} of shape {_short(repr(shape))}", "a short list of sizes was needed")
    if not isinstance(place, list) or len(place) != 2 or not all(_size(n) for n in place) or place[0] > place[1]:
        _refuse(path, f"has {where} at {_short(repr(place))}", "a first byte and an end were needed")
    if code == "F4":
        if not shape or shape[-1] % 2:
            _refuse(path, f"has {where} of shape {_short(repr(shape))} in F4", "the last size must be even")
        shape = [*shape[:-1], shape[-1] // 2]
    # An empty tensor with vast other sizes has no bytes, yet torch cannot count its strides.
    if prod(n for n in shape if n) > LARGEST_DIMENSION:
        _refuse(path, f"has {where} of shape {_short(repr(shape))}", "fewer than 2**63 values were needed")
    length = prod(shape) * KINDS[code][1]
    if length != place[1] - place[0]:
        what = f"has {where} of {code} {shape} in {place[1] - place[0]} bytes"
        _refuse(path, _short(what, 300), f"{_short(str(length))} were needed")
    return code, tuple(shape), place[0], place[1]


def _size(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_DIMENSION


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


