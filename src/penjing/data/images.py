"""Labelled images of the user: npz files, idx files (MNIST's format) and folders with one sub-folder per class."""

import gzip
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import torch
from torch import Tensor

from penjing.errors import DataError

MAX_BYTES = 4 << 30
IMAGE_KEYS, LABEL_KEYS, NAME_KEYS = ("x", "images"), ("y", "labels"), ("names", "classes")
_IDX_BYTE = 0x08


class Pixels(Protocol):
    """Images by place: in memory a tensor, from a folder read when asked for."""

    @property
    def shape(self) -> Sequence[int]:
        """(images, height, width, channels)."""
        ...

    def __getitem__(self, places: Tensor, /) -> Tensor:
        """[places height width channels] uint8, of `places` [places] int64."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """`pixels` uint8 [n h w c], `labels` int64 [n], each image's `ids`, and the class `names` if they are known.

    `ids` are places in the source or file names: they stay with an image through `take` and `subset`, and seed what is
    random about it. `sha256` is over what was read, before anything was taken from it.
    """

    pixels: Pixels
    labels: Tensor
    ids: tuple[str, ...]
    names: tuple[str, ...] = ()
    source: str = "memory"
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many classes: the names, or the largest label and one."""
        return len(self.names) or int(self.labels.max()) + 1

    def subset(self, places: Tensor) -> "Images":
        """The images at `places` [places] int64, in that order."""
        pixels = self.pixels[places] if isinstance(self.pixels, Tensor) else _Chosen(self.pixels, places)
        ids = tuple(self.ids[i] for i in places.tolist())
        return replace(self, pixels=pixels, labels=self.labels[places], ids=ids)

    def take(self, count: int | None, *, seed: int | None = None) -> "Images":
        """`count` images spread evenly over the set, or drawn by `seed`, in the set's order; None takes all.

        Raises:
            DataError: there are not so many.
        """
        if count is None or count == len(self):
            return self
        if not 1 <= count <= len(self):
            raise DataError(f"{count:,} images were asked for, {self.source} has {len(self):,}; ask for 1 to that many")
        if seed is None:
            return self.subset(torch.arange(count) * len(self) // count)
        return self.subset(torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:count].sort()[0])

    def split(self, shares: Sequence[float], *, seed: int) -> tuple["Images", ...]:
        """Disjoint parts of these shares of the images, drawn by `seed`; what the shares leave over is left out.

        Raises:
            DataError: a part would be empty, or the shares are more than the whole.
        """
        counts = [int(share * len(self) + 1e-9) for share in shares]
        if min(counts, default=0) < 1 or sum(counts) > len(self):
            raise DataError(
                f"the shares {', '.join(f'{s:g}' for s in shares)} of {len(self):,} images give parts of "
                f"{', '.join(map(str, counts))}; each needs one image, and together at most all"
            )
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        ends = [sum(counts[: i + 1]) for i in range(len(counts))]
        return tuple(self.subset(order[end - c : end]) for c, end in zip(counts, ends, strict=True))


class _Chosen:
    """Some places of pixels that are not in memory."""

    def __init__(self, pixels: Pixels, places: Tensor) -> None:
        self._pixels, self._places = pixels, places
        self.shape = (len(places), *pixels.shape[1:])

    def __getitem__(self, places: Tensor) -> Tensor:
        return self._pixels[self._places[places]]


def from_arrays(
    pixels: np.ndarray | Tensor,
    labels: np.ndarray | Tensor | Sequence[int],
    *,
    names: Sequence[str] = (),
    source: str = "memory",
) -> Images:
    """Images from `pixels` uint8 [n h w c] or [n h w], and whole-number `labels` [n] from 0.

    Raises:
        DataError: a dtype, shape, length or label does not fit; `source` is named.
    """
    x = torch.as_tensor(pixels)
    if x.dtype != torch.uint8:
        raise DataError(f"{source}: the images are {x.dtype}, needed uint8 from 0 to 255; scale and convert them")
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[-1] not in (1, 3) or 0 in x.shape:
        raise DataError(f"{source}: the images have shape {list(x.shape)}, needed [n h w c] with 1 or 3 channels")
    y = _labels(labels, len(x), len(names), source)
    digest = sha256(f"{list(x.shape)};{'|'.join(names)};".encode())
    digest.update(x.contiguous().numpy().data)
    digest.update(y.numpy().astype("<i8").tobytes())
    ids = tuple(map(str, range(len(x))))
    return Images(pixels=x, labels=y, ids=ids, names=tuple(names), source=source, sha256=digest.hexdigest())


def _labels(labels: np.ndarray | Tensor | Sequence[int], count: int, classes: int, source: str) -> Tensor:
    if isinstance(labels, np.ndarray) and labels.dtype.kind not in "iufbc":
        raise DataError(f"{source}: the labels are of type {labels.dtype}, needed whole numbers from 0, one a class")
    y = torch.as_tensor(labels)
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise DataError(f"{source}: the labels are {y.dtype}, needed whole numbers; give class numbers from 0")
    y = y.flatten().to(torch.int64) if y.ndim == 2 and y.shape[1] == 1 else y.to(torch.int64)
    if y.ndim != 1 or len(y) != count:
        raise DataError(f"{source}: found labels {list(y.shape)} for {count:,} images; needed one for each")
    wrong = ((y < 0) | (y >= classes)).nonzero() if classes else (y < 0).nonzero()
    if len(wrong):
        most = f"from 0 to {classes - 1}" if classes else "0 or more"
        place = int(wrong[0])
        raise DataError(f"{source}: image {place} has label {int(y[place])}, needed {most}; correct the labels")
    return y


def read_images(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    size: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> Images:
    """The images at `path`: an .npz file, an idx file with its `labels` file, or a folder of class folders.

    `size` is for folders: the shorter side is resized to it and the middle cut out. `limit` images are spread evenly
    over the set, or drawn by `seed`.

    Raises:
        DataError: nothing is there, or it cannot be read as labelled images; file and place are named.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    place = Path(path)
    if size is not None and size < 1:
        raise DataError(f"the size asked for is {size} pixels, needed 1 or more")
    if place.is_dir():
        from penjing.data.image_folder import read_folder

        found = read_folder(place, size=size)
    elif not place.is_file():
        raise DataError(f"found nothing at {place}, needed an .npz or idx file or a folder of images; check the path")
    elif place.suffix == ".npz":
        found = read_npz(place, max_bytes=max_bytes)
    elif labels is None:
        raise DataError(f"{place} is taken for an idx file, which has its labels in another; name that one as `labels`")
    else:
        found = read_idx(place, Path(labels), max_bytes=max_bytes)
    return found.take(limit, seed=seed)


def read_npz(path: Path, *, max_bytes: int = MAX_BYTES) -> Images:
    """Images from an .npz file with "x" or "images", "y" or "labels", and if it has them class "names".

    Nothing is unpickled, and nothing above `max_bytes` is unpacked.

    Raises:
        DataError: the file is damaged, lacks an array, or one does not fit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.removesuffix(".npy") for name in archive.namelist()}
            x = _array(archive, path, _key(held, IMAGE_KEYS, path), max_bytes)
            y = _array(archive, path, _key(held, LABEL_KEYS, path), max_bytes)
            named = next((key for key in NAME_KEYS if key in held), None)
            names = _array(archive, path, named, max_bytes) if named else np.zeros(0, "U1")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path} cannot be read as an .npz file ({error}); save it again with numpy.savez") from error
    if names.dtype.kind != "U" or names.ndim != 1:
        raise DataError(f"{path}: the class names are {names.dtype}, needed a row of texts; save them as a text array")
    return from_arrays(x, y, names=[str(n) for n in names], source=str(path))


def _key(held: set[str], wanted: tuple[str, str], path: Path) -> str:
    found = next((key for key in wanted if key in held), None)
    if found is None:
        arrays = ", ".join(sorted(held)) or "nothing"
        raise DataError(f"{path} holds {arrays}, needed '{wanted[0]}' or '{wanted[1]}'; name the arrays so")
    return found


def _array(archive: zipfile.ZipFile, path: Path, key: str, max_bytes: int) -> np.ndarray:
    """One array, after its header has said that it is plain, as long as declared and not too large."""
    member = f"{key}.npy"
    with archive.open(member) as file:
        shape, order, dtype = _header(file, f"{path}, '{key}'")
        needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if needed > max_bytes:
            raise DataError(f"{path}, '{key}' unpacks to {needed:,} bytes, allowed are {max_bytes:,}; give fewer")
        raw = file.read(needed + 1)
    if len(raw) != needed:
        found = "more" if len(raw) > needed else f"{len(raw):,}"
        raise DataError(f"{path}, '{key}' needs {needed:,} bytes for {list(shape)}, found {found}; save it again")
    array = np.frombuffer(bytearray(raw), dtype).reshape(shape, order="F" if order else "C")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _header(file: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, order, dtype = read(file)
    except (ValueError, SyntaxError) as error:
        raise DataError(f"{what} is not a plain array ({error}); save it again with numpy.savez") from error
    if dtype.hasobject or dtype.fields or dtype.kind not in "uibU":
        raise DataError(f"{what} is {dtype}, needed whole numbers or texts; arrays of objects are not read")
    return shape, order, dtype


def read_idx(images: Path, labels: Path, *, max_bytes: int = MAX_BYTES) -> Images:
    """Images and labels from two idx files, as MNIST and its kin come, gzipped or not.

    Raises:
        DataError: a file is missing, not idx, cut short, too long or above `max_bytes`.
    """
    return from_arrays(_idx(images, max_bytes), _idx(labels, max_bytes), source=str(images))


def _idx(path: Path, max_bytes: int) -> np.ndarray:
    """Source: the format's description on the page of the MNIST database: two zeros, type, rank, big-endian sizes."""
    if not path.is_file():
        raise DataError(f"found nothing at {path}, needed an idx file; check the path")
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != _IDX_BYTE or not 1 <= head[3] <= 4:
                raise DataError(f"{path} begins with {head.hex()}, needed an idx file of bytes (000008..); give one")
            sizes = file.read(4 * head[3])
            if len(sizes) != 4 * head[3]:
                raise DataError(f"{path} ends within its header; fetch it again")
            shape = struct.unpack(f">{head[3]}I", sizes)
            needed = int(np.prod(shape, dtype=object))
            if needed > max_bytes:
                raise DataError(f"{path} says {list(shape)}, {needed:,} bytes; allowed are {max_bytes:,}")
            raw = file.read(needed + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}); fetch it again") from error
    if len(raw) != needed or not needed:
        found = "more" if len(raw) > needed else f"{len(raw):,}"
        raise DataError(f"{path} says {list(shape)}, {needed:,} bytes, and holds {found}; fetch it again")
    return np.frombuffer(bytearray(raw), np.uint8).reshape(shape)
