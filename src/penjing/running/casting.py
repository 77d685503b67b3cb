"""An opened model turned into what opening it in another floating point type would have given, tensor by tensor."""

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_HOLDS = {
    torch.float64: {torch.float64, torch.float32, torch.bfloat16, torch.float16},
    torch.float32: {torch.float32, torch.bfloat16, torch.float16},
    torch.bfloat16: {torch.bfloat16},
    torch.float16: {torch.float16},
}
"""Type -> the types whose every value it holds exactly."""


def cast(module: Any, dtype: torch.dtype, stored: Collection[torch.dtype]) -> bool:
    """Turn a stock module into what the loader makes of its files in `dtype`; False, and nothing done, if not sure.

    `stored` are the types in the files. Sure it is where the module still holds all that is stored, the loader has no
    exceptions for some modules, and no constant of the code depends on the type. One tensor is in memory twice.
    """
    wanted = _wanted(module, dtype)
    if wanted is None or not _plain(module):
        return False
    own = list(_named(module))
    if [n for n, *_ in own] != list(wanted):
        return False
    changes = [(n, t, kept) for n, t, kept in own if t.is_floating_point() and t.dtype != wanted[n]]
    if any(not kept or not set(stored) <= _HOLDS.get(t.dtype, set()) for _, t, kept in changes):
        return False
    with torch.no_grad():
        for name, tensor, _ in changes:
            tensor.data = tensor.data.to(wanted[name])
    _note(module.config, dtype)
    return True


def _plain(module: Any) -> bool:
    exceptions = ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
    quantised = getattr(module.config, "quantization_config", None)
    return not quantised and not any(getattr(module, e, None) for e in exceptions)


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor, bool]]:
    """(name, tensor, whether it is stored) of all parameters and buffers, each once."""
    seen: set[int] = set()
    for path, part in module.named_modules():
        for name, tensor in [*part._parameters.items(), *part._buffers.items()]:
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield f"{path}.{name}", tensor, name not in part._non_persistent_buffers_set


def _wanted(module: Any, dtype: torch.dtype) -> dict[str, torch.dtype] | None:
    """Name -> type in a module that the same code builds in `dtype`, without memory; None for other modules."""
    if not type(module).__module__.startswith("transformers.") or not hasattr(module, "_from_config"):
        return None
    settings = copy.deepcopy(module.config)
    with torch.device("meta"):
        built = type(module)._from_config(settings, dtype=dtype, attn_implementation=settings._attn_implementation)
    built.tie_weights()
    return {name: tensor.dtype for name, tensor, _ in _named(built)}


def _note(config: Any, dtype: torch.dtype) -> None:
    """Let the config tell the type, as the loader does."""
    config.dtype = dtype
    for name in getattr(config, "sub_configs", {}):
        if (part := getattr(config, name, None)) is not None:
            part.dtype = dtype
