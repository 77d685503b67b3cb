"""Open a folder as Hugging Face libraries write it: safetensors (whole or in shards) or `pytorch_model.bin`."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from penjing.errors import CheckpointError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.headers import Header
from penjing.io.recorded import with_modules
from penjing.io.shards import PICKLES, find_headers, inside, read_config, read_json
from penjing.io.side_files import find_side_files
from penjing.io.state_dict import open_bins
from penjing.io.tokenizers import load_tokenizer


def open_folder(folder: Path, *, source: str, config: Mapping[str, Any] | None) -> OpenCheckpoint:
    """The checkpoint in a folder.

    Raises:
        CheckpointError: no weights are there, it is not clear which, or a file is wrong.
    """
    settings = with_modules(dict(config) if config is not None else read_config(folder), folder)
    sides = find_side_files(folder)
    headers = find_headers(folder)
    if headers is None:
        return open_bins(folder, source=source, config=settings, side_files=sides)
    return from_headers(headers, source=source, folder=folder, config=settings, side_files=sides)


def from_headers(
    headers: list[Header],
    *,
    source: str,
    folder: Path,
    config: Mapping[str, Any],
    side_files: tuple[Path, ...],
) -> OpenCheckpoint:
    """A checkpoint over safetensors files whose headers have been read."""
    return OpenCheckpoint(
        source=source,
        kind="folder",
        folder=folder,
        config=config,
        tensors={name: spec for h in headers for name, spec in h.tensors.items()},
        spans={name: span for h in headers for name, span in h.spans.items()},
        shards=tuple(h.names for h in headers),
        side_files=side_files,
        identify=lambda: _identity(headers, config),
        load_tokenizer=lambda: load_tokenizer(folder),
    )


def stock_opens(folder: Path) -> bool:
    """Whether stock loaders find the weights of a folder too: by the usual names, and an index with its metadata."""
    if any((folder / name).is_file() for name in ("model.safetensors", *PICKLES[1:])):
        return True
    for name in ("model.safetensors.index.json", PICKLES[0]):
        if (folder / name).is_file():
            return isinstance(read_json(inside(folder, name)).get("metadata"), dict)
    return False


def _identity(headers: list[Header], config: Mapping[str, Any]) -> str:
    digest = sha256(repr(sorted(config.items(), key=lambda kv: kv[0])).encode())
    for header in headers:
        try:
            state = header.path.stat()
        except OSError as error:
            raise CheckpointError(f"{header.path} cannot be read: {error.strerror or error}") from error
        digest.update(f"{header.path.name} {state.st_size} {state.st_mtime_ns}".encode())
        digest.update(header.raw)
    return digest.hexdigest()
