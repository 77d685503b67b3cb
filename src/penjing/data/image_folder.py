"""A folder of image files, one sub-folder per class, read when asked for."""

import warnings
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.data.images import Images
from penjing.errors import DataError, MissingExtraError

KINDS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"})
MAX_PIXELS = 100_000_000


class FolderPixels:
    """RGB images [n size size 3] from files, decoded each time they are asked for.

    Raises:
        DataError: a file cannot be decoded, or has another size than the first and `size` was not given.
    """

    def __init__(self, files: Sequence[Path], size: int | None) -> None:
        self._files, self._size = tuple(files), size
        width, height = (size, size) if size else _size_of(self._files[0])
        self.shape = (len(self._files), height, width, 3)

    def __getitem__(self, places: Tensor) -> Tensor:
        return torch.stack([self._one(self._files[i]) for i in places.tolist()])

    def _one(self, path: Path) -> Tensor:
        image = _decoded(path, self._size)
        _, height, width, _ = self.shape
        if image.shape[:2] != (height, width):
            found = f"{image.shape[1]} x {image.shape[0]}"
            raise DataError(f"{path} is {found} pixels, others {width} x {height}; name a size that all are brought to")
        return torch.from_numpy(image)


def read_folder(path: Path, *, size: int | None = None) -> Images:
    """Images from `path`/class/file, as RGB; classes are the sorted names of the sub-folders.

    With `size` the shorter side is resized to it (bicubic) and the middle is cut out; without, all must have one size.
    Names that begin with a dot are left out; any other file that is not an image is refused.

    Raises:
        DataError: there are no classes or images, a file is no image, or sizes differ; the file is named.
        MissingExtraError: Pillow is not installed.
    """
    pillow_or_refuse()
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DataError(f"{path} has no sub-folders, needed one for each class with its images in it")
    digest = sha256(f"size={size};".encode())
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        found = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        for file in found:
            if file.suffix.lower() not in KINDS or not file.is_file():
                raise DataError(f"{file} is no image file ({', '.join(sorted(KINDS))}); move it out of the folder")
            digest.update(f"{folder.name}/{file.name};".encode("utf-8", "surrogateescape"))
            digest.update(sha256(file.read_bytes()).digest())
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(f"{path} has {len(classes)} class folders and no image in them; put the images there")
    _check_sizes(files, size)
    return Images(
        pixels=FolderPixels(files, size),
        labels=torch.tensor(labels),
        ids=tuple(f"{f.parent.name}/{f.name}" for f in files),
        names=tuple(c.name for c in classes),
        source=str(path),
        sha256=digest.hexdigest(),
    )


def _check_sizes(files: Sequence[Path], size: int | None) -> None:
    """Read every header now, so that a wrong file is named before hours of work."""
    first = _size_of(files[0])
    for file in files[1:]:
        found = _size_of(file)
        if size is None and found != first:
            raise DataError(
                f"{file} is {found[0]} x {found[1]} pixels, {files[0]} {first[0]} x {first[1]}; name a size that all "
                "are brought to"
            )


def pillow_or_refuse() -> Any:
    """Pillow's `Image`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pillow", "images", "reading image files") from None
    return Image


def _size_of(path: Path) -> tuple[int, int]:
    with opened(path) as image:
        return image.size


def opened(path: Path) -> Any:
    """A picture of Pillow's whose header was read.

    Raises:
        DataError: it cannot be read, or says that it has more than `MAX_PIXELS`.
        MissingExtraError: Pillow is not installed.
    """
    pillow = pillow_or_refuse()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)  # refused below, by its own limit
            image = pillow.open(path)
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}); replace or remove it") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise DataError(f"{path} says {width} x {height} pixels, allowed are {MAX_PIXELS:,}; make it smaller")
    return image


def _decoded(path: Path, size: int | None) -> np.ndarray:
    """[h w 3] uint8."""
    pillow = pillow_or_refuse()
    with opened(path) as image:
        try:
            rgb = image.convert("RGB")
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be decoded ({error}); replace or remove it") from error
    if size is not None:
        scale = size / min(rgb.size)
        width, height = (max(size, round(side * scale)) for side in rgb.size)
        left, top = (width - size) // 2, (height - size) // 2
        rgb = rgb.resize((width, height), pillow.Resampling.BICUBIC).crop((left, top, left + size, top + size))
    return np.array(rgb, dtype=np.uint8)
