"""Batches with what they came from, and a digest of all that is in them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Batches, how many (0: not known), what they came from, and their `digest` (empty: they cannot be told again).

    `again` gives the batches from the first.
    """

    again: Callable[[], Iterable[Any]]
    count: int
    told: Mapping[str, Any]
    digest: str = ""


def batches_digest(batches: Iterable[Any]) -> str:
    """A digest of all tensors and plain values in batches; empty if something else is in them."""
    digest = sha256()
    try:
        for batch in batches:
            _add(digest, batch)
    except TypeError:
        return ""
    return digest.hexdigest()


def _add(digest: Any, item: Any) -> None:
    if isinstance(item, Tensor):
        digest.update(f"tensor {item.dtype} {list(item.shape)};".encode())
        digest.update(item.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(item, Mapping):
        digest.update(f"mapping {len(item)};".encode())
        for key, value in item.items():
            digest.update(f"{key!r}:".encode())
            _add(digest, value)
    elif isinstance(item, tuple | list):
        digest.update(f"sequence {len(item)};".encode())
        for value in item:
            _add(digest, value)
    elif item is None or isinstance(item, bool | int | float | str):
        digest.update(f"{item!r};".encode())
    else:
        raise TypeError(f"a {type(item).__name__} has no digest")
