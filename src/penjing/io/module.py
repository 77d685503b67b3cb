"""Open a live `nn.Module`: its state dict, read without changing it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import CheckpointError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.spans import TensorSpec


def open_module(module: nn.Module, *, config: Mapping[str, Any] | None) -> OpenCheckpoint:
    """The weights of a module as they are now; tied ones once; later changes of the module show through.

    Raises:
        CheckpointError: the module is on `meta` and has no weights to read.
    """
    state = {k: v for k, v in module.state_dict(keep_vars=True).items() if isinstance(v, Tensor)}
    empty = next((name for name, tensor in state.items() if tensor.is_meta), None)
    if empty is not None:
        raise CheckpointError(f"'{empty}' of the module is on meta and has no values; load the weights first")
    kept, aliases = _untied(state)
    settings = dict(config) if config is not None else _config(module)
    return OpenCheckpoint(
        source=type(module).__name__,
        kind="module",
        config=settings,
        tensors={name: TensorSpec(name, t.dtype, tuple(t.shape)) for name, t in kept.items()},
        shards=(tuple(kept),),
        aliases=aliases,
        read=lambda name: _copy(kept[name]),
        identify=lambda: _identity(kept, settings),
    )


def _untied(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(each tensor once, the further names of one -> its first); two that only share memory are cut apart."""
    first: dict[int, str] = {}
    aliases = {name: kept for name, t in state.items() if (kept := first.setdefault(id(t), name)) != name}
    return {name: t.detach() for name, t in state.items() if name not in aliases}, aliases


def _copy(tensor: Tensor) -> Tensor:
    return tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)


def _config(module: nn.Module) -> dict[str, Any]:
    held = getattr(module, "config", None)
    progress = getattr(held, "to_dict", None)
    table = progress() if callable(progress) else held
    # A round trip gives what a config.json would give: lists for tuples, texts for dtypes and number keys.
    return json.loads(json.dumps(table, default=str)) if isinstance(table, Mapping) else {}


def _identity(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    digest = sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_copy(tensor).reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
