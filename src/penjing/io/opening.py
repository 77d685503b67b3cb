"""Open a checkpoint, whatever it is: the one door into the room."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from penjing.errors import CheckpointError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.folder import from_headers, open_folder
from penjing.io.headers import read_header
from penjing.io.hub import fetch_model, looks_like_id
from penjing.io.module import open_module
from penjing.io.shards import read_json
from penjing.io.state_dict import open_state_dict

STATE_DICTS = (".pt", ".pth", ".bin", ".ckpt")


def open_checkpoint(
    source: str | Path | nn.Module,
    *,
    config: Mapping[str, Any] | None = None,
    revision: str | None = None,
) -> OpenCheckpoint:
    """The checkpoint `source` names: a folder, a file (safetensors, GGUF, torch), a hub id, or a live module.

    `config` stands in for the config that comes with it. `revision` is a branch, tag or commit of a hub id.

    Raises:
        CheckpointError: nothing of that name is there, or it cannot be read as a model.
    """
    if isinstance(source, nn.Module):
        return open_module(source, config=config)
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return _open_folder(path, str(source), config)
        if path.is_file():
            return _open_file(path, str(source), config)
        if path.exists():
            raise CheckpointError(f"{path} is neither a file nor a folder; name a model")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}") from error
    if isinstance(source, str) and looks_like_id(source):
        return open_folder(fetch_model(source, revision), source=source, config=config)
    found = f"there is no file or folder {str(path)!r}, and it is no hub id"
    raise CheckpointError(f"{found}; name a folder, a file or an id")


def _open_folder(folder: Path, source: str, config: Mapping[str, Any] | None) -> OpenCheckpoint:
    files = [p for p in folder.iterdir() if p.suffix == ".gguf"]
    others = any(p.suffix in (".safetensors", ".bin") for p in folder.iterdir())
    if files and not others:
        if len(files) > 1:
            some = ", ".join(sorted(p.name for p in files)[:3])
            raise CheckpointError(f"{folder} has {len(files)} GGUF files ({some}); name one of them")
        return _open_file(files[0], source, config)
    return open_folder(folder, source=source, config=config)


def _open_file(path: Path, source: str, config: Mapping[str, Any] | None) -> OpenCheckpoint:
    with path.open("rb") as file:
        first = file.read(9)
    if first.startswith(b"GGUF") or path.suffix == ".gguf":
        from penjing.io.gguf import open_gguf

        return open_gguf(path, source=source, config=config)
    beside = path.parent / "config.json"
    settings = dict(config) if config is not None else read_json(beside) if beside.is_file() else {}
    if path.suffix == ".safetensors" or first[8:] == b"{":
        return from_headers([read_header(path)], source=source, folder=path.parent, config=settings, side_files=())
    if path.suffix in STATE_DICTS:
        return open_state_dict(path, source=source, config=settings)
    kinds = f".safetensors, .gguf, {', '.join(STATE_DICTS)}"
    raise CheckpointError(f"{path} begins with {first!r} and is no kind of model file; {kinds} were expected")
