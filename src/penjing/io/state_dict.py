"""Open state dicts that torch saved, without running any code in them: `.pt`, `.pth`, `.bin`."""

import warnings
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from penjing.errors import CheckpointError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.shards import agree, inside, read_index
from penjing.io.spans import TensorSpec
from penjing.io.tokenizers import load_tokenizer

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "params", "net")
"""Keys under which training programs keep the weights beside their other state."""


def open_bins(folder: Path, *, source: str, config: Mapping[str, Any], side_files: tuple[Path, ...]) -> OpenCheckpoint:
    """The checkpoint in `pytorch_model.bin`, or in the files that its index names.

    Raises:
        CheckpointError: a file needs code to be read, or index and files disagree.
    """
    index = inside(folder, "pytorch_model.bin.index.json")
    whole = inside(folder, "pytorch_model.bin")
    told = {"pytorch_model.bin": None} if whole.is_file() else read_index(index)
    parts: dict[Path, dict[str, Tensor]] = {}
    for name, names in told.items():
        tensors, _ = load_tensors(inside(folder, name))
        if names is not None:
            agree(index, name, names, tensors)
        parts[folder / name] = tensors
    return _checkpoint(parts, source=source, folder=folder, config=config, side_files=side_files, kind="folder")


def open_state_dict(path: Path, *, source: str, config: Mapping[str, Any]) -> OpenCheckpoint:
    """The checkpoint in one file that `torch.save` wrote.

    Raises:
        CheckpointError: it needs code to be read, is damaged, or holds no tensors.
    """
    tensors, note = load_tensors(path)
    return _checkpoint({path: tensors}, source=source, folder=None, config=config, kind="state_dict", notes=note)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Name -> tensor (mapped from the file where its format allows) and remarks on what was left aside.

    Raises:
        CheckpointError: it needs code to be read, is damaged, or holds no tensors.
    """
    advice = "convert it to safetensors where its author's code is trusted"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except UnpicklingError as error:
        found = f"{path} is a pickle that needs code to be read, or is damaged"
        raise CheckpointError(f"{found}; penjing reads only plain weights; {advice}") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        why = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{path} cannot be read as weights that torch saved ({why}); {advice}") from error
    notes: list[str] = []
    if isinstance(held, Mapping) and not any(isinstance(v, Tensor) for v in held.values()):
        key = next((k for k in WRAPPERS if isinstance(held.get(k), Mapping)), None)
        if key is not None:
            rest = ", ".join(str(k) for k in held if k != key)
            notes += [f"weights are under '{key}'; left aside: {rest}"] if rest else []
            held = held[key]
    if not isinstance(held, Mapping):
        raise CheckpointError(f"{path} holds a {type(held).__name__}, and a table from names to tensors was needed")
    tensors = {str(k): v.detach() for k, v in held.items() if isinstance(v, Tensor) and v.layout == torch.strided}
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; save the state_dict() of the model")
    other = [str(k) for k in held if str(k) not in tensors]
    notes += [f"not tensors, left aside: {', '.join(other[:5])}"] if other else []
    return tensors, tuple(notes)


def untie(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors without second names of the same memory, and those second names -> the first."""
    first: dict[tuple[object, ...], str] = {}
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        known = first.setdefault(place, name) if tensor.numel() and tensor.device.type != "meta" else name
        if known == name:
            kept[name] = tensor
        else:
            aliases[name] = known
    return kept, aliases


def _checkpoint(parts: Mapping[Path, Mapping[str, Tensor]], **fields: Any) -> OpenCheckpoint:
    every: dict[str, Tensor] = {}
    for path, tensors in parts.items():
        twice = next((n for n in tensors if n in every), None)
        if twice is not None:
            raise CheckpointError(f"{path} holds '{twice}', which another file holds too; keep one of them")
        every.update(tensors)
    tied = fields["config"].get("tie_word_embeddings", True)
    kept, aliases = untie(every) if tied else (every, {})
    held = dict(kept)
    folder = fields["folder"]
    return OpenCheckpoint(
        **fields,
        tensors={name: TensorSpec(name, t.dtype, tuple(t.shape)) for name, t in kept.items()},
        shards=tuple(tuple(n for n in tensors if n in kept) for tensors in parts.values()),
        aliases=aliases,
        read=lambda name: _copy(held, name),
        release=held.clear,
        identify=lambda: _identity(list(parts), fields["config"]),
        load_tokenizer=None if folder is None else partial(load_tokenizer, folder),
    )


def _copy(held: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in held:
        raise CheckpointError(f"'{name}' was asked for after its checkpoint was closed; open it again")
    return held[name].clone(memory_format=torch.contiguous_format)


def _identity(paths: list[Path], config: Mapping[str, Any]) -> str:
    digest = sha256(repr(sorted(config.items(), key=lambda kv: kv[0])).encode())
    for path in paths:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()
