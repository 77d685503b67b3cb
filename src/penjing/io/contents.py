"""What a checkpoint holds, told by its headers; where these are of safetensors files, torch is not imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import CheckpointError
from penjing.io.headers import Header, read_header
from penjing.io.opening import config_beside, is_safetensors, locate, open_checkpoint
from penjing.io.recorded import folder_config
from penjing.io.shards import find_headers

if TYPE_CHECKING:
    from torch import nn

    from penjing.io.checkpoint import OpenCheckpoint


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The config, the shape of each tensor in the order of the files, and the bytes of all of them."""

    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    bytes: int

    @property
    def itemsize(self) -> float:
        """Bytes for each value, 0 where there is none."""
        return self.bytes / max(sum(map(prod, self.shapes.values())), 1)


def read_contents(source: "str | Path | nn.Module", *, revision: str | None = None) -> Contents:
    """What `open_checkpoint` would find, told by headers alone where the files are safetensors.

    Raises:
        CheckpointError: nothing of that name is there, or it cannot be read as a model.
    """
    if isinstance(source, str | Path):
        path = locate(source, revision)
        try:
            headers = _headers(path)
            if headers is not None:
                return _told(headers, folder_config(path) if path.is_dir() else config_beside(path))
        except OSError as error:
            raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}") from error
    with open_checkpoint(source, revision=revision) as checkpoint:
        return _of(checkpoint)


def _headers(path: Path) -> list[Header] | None:
    if path.is_dir():
        return find_headers(path)
    return [read_header(path)] if is_safetensors(path) else None


def _told(headers: list[Header], config: Mapping[str, Any]) -> Contents:
    return Contents(
        config=config,
        shapes={name: entry.shape for h in headers for name, entry in h.entries.items()},
        bytes=sum(entry.span.length for h in headers for entry in h.entries.values()),
    )


def _of(checkpoint: "OpenCheckpoint") -> Contents:
    shapes = {name: tuple(shape) for name, shape in checkpoint.shapes.items()}
    total = sum(prod(shapes[name]) * dtype.itemsize for name, dtype in checkpoint.dtypes.items())
    return Contents(config=checkpoint.config, shapes=shapes, bytes=total)
