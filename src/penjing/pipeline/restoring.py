"""Photographs through a network that restores them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.core.progress import Progress, counter, silent
from penjing.data.image_folder import KINDS, opened
from penjing.errors import CheckpointError, DataError, RequestError, UnsupportedError
from penjing.io import writing
from penjing.io.recorded import folder_config
from penjing.io.workspace import check_output
from penjing.models import of_type
from penjing.pipeline.tiling import count, extent, over
from penjing.running.loading import load
from penjing.running.placing import AUTO, find_device

RESTORES = "AutoModelForImageToImage"
PAGE = "index.html"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One restored photograph: where it was, its new `name`, sides in pixels, and what became of it.

    `change` is the mean distance from the original and `apart` that of tiles where they overlap, both in steps of 255;
    `apart` is None of one tile.
    """

    source: Path
    name: str
    rows: int
    columns: int
    tiles: int
    change: float
    apart: float | None


@dataclass(frozen=True, kw_only=True)
class Restored:
    """All of them, with the model, the tile and the overlap in pixels, and the `folder` that holds them."""

    pictures: tuple[Picture, ...]
    model: Path
    folder: Path
    tile: int
    overlap: int


def restore(
    pictures: Path, model: Path, out: Path, *, tile: int = 512, overlap: int = 64, device: str = AUTO,
    page: Callable[[Restored], str] | None = None, progress: Progress = silent,
) -> Restored:  # fmt: skip
    """Write each photograph of a folder, or one, restored as PNG into `out`, and beside them what `page` makes of all.

    A photograph that is larger than `tile` pixels on a side is cut into tiles that share `overlap`; so memory stays
    that of one tile. What a network sees of a whole picture it sees of each tile then.

    Raises:
        UnsupportedError: the model restores no pictures.
        RequestError: no tile of these sizes fits the model.
        DataError: there is no picture, or one cannot be read, or two would have one name.
        OutputError: `out` is taken, or lies in one of the inputs.
        DeviceError: there is no such device.
        CheckpointError: the model cannot be read, or gives what is no finite number.
        MissingExtraError: Pillow is not installed.
    """
    check_restorer(model)
    found = photographs(pictures)
    place = check_output(out, [model, pictures] if pictures.is_dir() else [model])
    for path in found:  # all headers now, so that a wrong file is named before any work
        opened(path).close()
    network = load(model, find_device(device), torch.float32)
    multiple = int(network.config.multiple)
    check_tiles(tile, overlap, multiple)
    root = pictures if pictures.is_dir() else pictures.parent
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        made = []
        for path in found:
            name = str(path.relative_to(root).with_suffix(".png"))
            made.append(
                _one(network, path, partial, name, tile=tile, overlap=overlap, multiple=multiple, progress=progress)
            )
        every = Restored(pictures=tuple(made), model=model, folder=partial, tile=tile, overlap=overlap)
        with writing(partial):
            if page is not None:
                (partial / PAGE).write_text(page(every), encoding="utf-8")
            if place.is_dir():
                place.rmdir()  # empty, as was checked
            partial.chmod(place.parent.stat().st_mode & 0o777)  # a temporary folder is its owner's alone
            partial.rename(place)
    finally:
        rmtree(partial, ignore_errors=True)
    return Restored(pictures=every.pictures, model=model, folder=place, tile=tile, overlap=overlap)


def check_restorer(model: Path) -> None:
    """Refuse a folder whose model gives no pictures; no weights are read.

    Raises:
        UnsupportedError: it gives none, or there is none.
        CheckpointError: its config cannot be read.
    """
    kind = folder_config(model).get("model_type")
    file = of_type(str(kind))
    if file is None or RESTORES not in file.CARD.auto:
        what = f"a model of type '{kind}'" if kind else "no model"
        raise UnsupportedError(
            f"{model} holds {what}, which restores no pictures; name the folder of one that does, "
            "such as 'maxim' of 'penjing models'"
        )


def check_tiles(tile: int, overlap: int, multiple: int) -> None:
    """Refuse tiles that the model cannot take, or that share so much that they do not advance.

    Raises:
        RequestError: they are such.
    """
    if tile < multiple or tile % multiple:
        raise RequestError(f"tiles are {tile} pixels wide, this model needs a multiple of {multiple}; choose one")
    if not 0 <= overlap <= tile // 2:
        raise RequestError(f"tiles of {tile} pixels overlap by {overlap}; choose 0 to {tile // 2}")


def photographs(place: Path) -> list[Path]:
    """The pictures in a folder and the folders in it, by name, or the one that is named.

    Raises:
        DataError: there is none, or two differ in their suffix alone.
    """
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix.lower() in KINDS)
    if not files:
        known = ", ".join(sorted(KINDS))
        raise DataError(f"{place} holds no pictures; name one, or a folder of files that end in {known}")
    seen: dict[Path, Path] = {}
    for path in files:
        if other := seen.get(path.with_suffix("")):
            raise DataError(f"{other} and {path} would both become {path.stem}.png; rename one")
        seen[path.with_suffix("")] = path
    return files


def pixels(path: Path) -> np.ndarray:
    """[h w 3] uint8, turned as the camera says.

    Raises:
        DataError: it cannot be decoded.
    """
    from PIL import ImageOps

    with opened(path) as image:
        try:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be decoded ({error}); replace or remove it") from error


def _one(
    network: Any, path: Path, folder: Path, name: str, *, tile: int, overlap: int, multiple: int, progress: Progress
) -> Picture:
    from PIL import Image

    before = pixels(path)
    sides: Sequence[int] = [max(n, extent(n, tile, multiple)) for n in before.shape[:2]]
    extents = [extent(n, tile, multiple) for n in before.shape[:2]]
    tiles = count(sides[0], extents[0], overlap) * count(sides[1], extents[1], overlap)
    device = next(network.parameters()).device

    def run(x: Tensor) -> Tensor:
        made = network(pixel_values=x.to(device)).reconstruction
        if not made.isfinite().all():
            raise CheckpointError(f"the model makes of {path} what is no finite number; take other weights")
        return made

    advance = counter(progress, f"restoring {path.name}", tiles)
    after, apart = over(run, before, tile=tile, overlap=overlap, multiple=multiple, advance=advance)
    with writing(folder / name):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(after).save(folder / name)
    change = float(np.abs(after.astype(np.int16) - before).mean())
    return Picture(
        source=path, name=name, rows=before.shape[0], columns=before.shape[1], tiles=tiles, change=change, apart=apart
    )
