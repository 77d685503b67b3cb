"""Which files of a folder hold the weights: index files, and paths that may not leave the folder."""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from penjing.errors import CheckpointError
from penjing.io.headers import Header, read_header
from penjing.io.json_config import decoded

LARGEST_JSON = 200_000_000
PICKLES = ("pytorch_model.bin.index.json", "pytorch_model.bin")


def inside(folder: Path, name: str) -> Path:
    """The path of the file `name` of a folder, which may be a link only to a place of the same folder.

    In a snapshot of the hub's cache (`models--*/snapshots/*`) links into the same `models--*` folder are fine too.

    Raises:
        CheckpointError: the name or the link leads elsewhere.
    """
    pure = PurePosixPath(name)
    if not name or "\0" in name or "\\" in name or pure.is_absolute() or ".." in pure.parts:
        raise CheckpointError(f"{folder} names the file {name!r}; only files inside the folder are read")
    path = folder / name
    home = folder.resolve()
    allowed = [home]
    if home.parent.name == "snapshots" and home.parent.parent.name.startswith("models--"):
        allowed.append(home.parent.parent)
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} is a link that leads nowhere; replace it by the file itself") from error
    if not any(real.is_relative_to(place) for place in allowed):
        raise CheckpointError(f"{path} is a link to {real}, outside the folder; replace it by the file itself")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file.

    Raises:
        CheckpointError: it cannot be read, is not JSON (line and column are named), or is not a table.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise CheckpointError(f"{path} is larger than {LARGEST_JSON} bytes; a JSON file of a model is small")
        table = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CheckpointError(f"{path} is not JSON at {where}: {error.msg}; mend it or get it again") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 at byte {error.start}; get it again") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not usable JSON: {str(error)[:100]}; get it again") from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{path} holds a {type(table).__name__}, and a table was needed; get it again")
    return table


def read_config(folder: Path) -> dict[str, Any]:
    """The config of a folder; empty where there is none.

    Raises:
        CheckpointError: it is not JSON, or a link that leaves the folder.
    """
    path = inside(folder, "config.json")
    return decoded(read_json(path)) if path.is_file() else {}


def read_index(path: Path) -> dict[str, list[str]]:
    """File name -> names of tensors, from an index such as `model.safetensors.index.json`.

    Raises:
        CheckpointError: it is not an index, or names files outside its folder or files that are missing.
    """
    table = read_json(path).get("weight_map")
    if not isinstance(table, dict) or not table or not all(isinstance(v, str) for v in table.values()):
        raise CheckpointError(f"{path} has no 'weight_map' from tensors to files; get it again")
    files: dict[str, list[str]] = {}
    for tensor, name in table.items():
        files.setdefault(name, []).append(tensor)
    missing = [name for name in files if not inside(path.parent, name).is_file()]
    if missing:
        some = ", ".join(repr(m) for m in sorted(missing)[:5])
        count = f"{len(missing)} of {len(files)} files that are not in the folder"
        raise CheckpointError(f"{path} names {count} ({some}); get the missing files")
    return dict(sorted(files.items()))


def read_headers(folder: Path, names: Iterable[str]) -> list[Header]:
    """The headers of safetensors files of a folder.

    Raises:
        CheckpointError: one is wrong, or two of them hold the same tensor.
    """
    headers = [read_header(inside(folder, name)) for name in names]
    home: dict[str, Path] = {}
    for header in headers:
        for tensor in header.names:
            if tensor in home:
                both = f"{home[tensor].name} and {header.path.name}"
                raise CheckpointError(f"{folder} holds '{tensor}' twice, in {both}; keep one of them")
            home[tensor] = header.path
    return headers


def read_indexed(index: Path) -> list[Header]:
    """The headers of the files that an index names, in agreement with it.

    Raises:
        CheckpointError: as `read_index` and `read_headers`, or the index and the headers disagree.
    """
    files = read_index(index)
    headers = read_headers(index.parent, files)
    for header, (name, tensors) in zip(headers, files.items(), strict=True):
        agree(index, name, tensors, header.names)
    return headers


def find_headers(folder: Path) -> list[Header] | None:
    """Headers of the safetensors files that are the model of a folder; None when it is in pickle files.

    Raises:
        CheckpointError: no weights are there, it is not clear which, or a file is wrong.
    """
    if inside(folder, "model.safetensors").is_file():
        return read_headers(folder, ["model.safetensors"])
    index = inside(folder, "model.safetensors.index.json")
    if index.is_file():
        return read_indexed(index)
    if any(inside(folder, name).is_file() for name in PICKLES):
        return None
    found = sorted(p.name for p in folder.glob("*.safetensors"))
    indexes = sorted(p.name for p in folder.glob("*.safetensors.index.json"))
    if len(indexes) == 1:
        return read_indexed(inside(folder, indexes[0]))
    if len(found) == 1:
        return read_headers(folder, found)
    if found:
        some = ", ".join(found[:3])
        raise CheckpointError(f"{folder} has {len(found)} safetensors files ({some}) and no index; name one of them")
    wanted = "model.safetensors, model.safetensors.index.json or pytorch_model.bin"
    raise CheckpointError(f"{folder} holds no weights; {wanted} was needed; name the folder of a model")


def agree(index: Path, name: str, told: Iterable[str], held: Iterable[str]) -> None:
    """Check that an index tells of one file exactly what that file holds.

    Raises:
        CheckpointError: it tells of others.
    """
    promised, present = set(told), set(held)
    for found, text in ((promised - present, "is not there"), (present - promised, "is not in the index")):
        if found:
            first = min(found)
            count = f"{len(found)} tensor{'s' if len(found) > 1 else ''} such as '{first}'"
            raise CheckpointError(f"{index} and {name} disagree: {count} {text}; get both again from one place")
