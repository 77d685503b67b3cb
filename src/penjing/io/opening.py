"""Open a checkpoint, whatever it is: the one door into the room."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import CheckpointError
from penjing.io.hub import fetch_model, looks_like_id
from penjing.io.json_config import decoded
from penjing.io.shards import read_json

if TYPE_CHECKING:
    from torch import nn

    from penjing.io.checkpoint import OpenCheckpoint

STATE_DICTS = (".pt", ".pth", ".bin", ".ckpt")


def open_checkpoint(
    source: "str | Path | nn.Module",
    *,
    config: Mapping[str, Any] | None = None,
    revision: str | None = None,
) -> "OpenCheckpoint":
    """The checkpoint `source` names: a folder, a file (safetensors, GGUF, torch), a hub id, or a live module.

    `config` stands in for the config that comes with it. `revision` is a branch, tag or commit of a hub id.

    Raises:
        CheckpointError: nothing of that name is there, or it cannot be read as a model.
    """
    if not isinstance(source, str | Path):
        from penjing.io.module import open_module

        return open_module(source, config=config)
    path = locate(source, revision)
    try:
        if path.is_dir():
            from penjing.io.folder import open_folder

            return open_folder(path, source=str(source), config=config)
        return _open_file(path, str(source), config)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}") from error


def locate(source: str | Path, revision: str | None = None) -> Path:
    """The folder or file that `source` names; a hub id is fetched, and a folder with one GGUF file is that file.

    Raises:
        CheckpointError: nothing of that name is there, or it is not clear which file is meant.
    """
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return _lone_gguf(path) or path
        if path.is_file():
            return path
        if path.exists():
            raise CheckpointError(f"{path} is neither a file nor a folder; name a model")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}") from error
    if isinstance(source, str) and looks_like_id(source):
        return fetch_model(source, revision)
    found = f"there is no file or folder {str(path)!r}, and it is no hub id"
    raise CheckpointError(f"{found}; name a folder, a file or an id")


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as a safetensors file does, or is named so.

    Raises:
        CheckpointError: it cannot be read.
    """
    return not _is_gguf(path) and (path.suffix == ".safetensors" or _first(path)[8:] == b"{")


def config_beside(path: Path) -> dict[str, Any]:
    """The config.json that lies beside a file of weights; empty where there is none.

    Raises:
        CheckpointError: it is not JSON.
    """
    beside = path.parent / "config.json"
    return decoded(read_json(beside)) if beside.is_file() else {}


def _lone_gguf(folder: Path) -> Path | None:
    files = [p for p in folder.iterdir() if p.suffix == ".gguf"]
    others = any(p.suffix in (".safetensors", ".bin") for p in folder.iterdir())
    if not files or others:
        return None
    if len(files) > 1:
        some = ", ".join(sorted(p.name for p in files)[:3])
        raise CheckpointError(f"{folder} has {len(files)} GGUF files ({some}); name one of them")
    return files[0]


def _open_file(path: Path, source: str, config: Mapping[str, Any] | None) -> "OpenCheckpoint":
    if _is_gguf(path):
        from penjing.io.gguf import open_gguf

        return open_gguf(path, source=source, config=config)
    settings = dict(config) if config is not None else config_beside(path)
    if is_safetensors(path):
        from penjing.io.folder import from_headers
        from penjing.io.headers import read_header

        return from_headers([read_header(path)], source=source, folder=path.parent, config=settings, side_files=())
    if path.suffix in STATE_DICTS:
        from penjing.io.state_dict import open_state_dict

        return open_state_dict(path, source=source, config=settings)
    kinds = f".safetensors, .gguf, {', '.join(STATE_DICTS)}"
    raise CheckpointError(f"{path} begins with {_first(path)!r} and is no kind of model file; {kinds} were expected")


def _is_gguf(path: Path) -> bool:
    return path.suffix == ".gguf" or _first(path).startswith(b"GGUF")


def _first(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}") from error
