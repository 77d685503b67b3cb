"""What a file holds and what a file shall hold: names, dtypes, shapes and places, without any weights."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KINDS: dict[str, tuple[str, int]] = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
    "C64": ("complex64", 8),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1),
    "F8_E8M0": ("float8_e8m0fnu", 1),
    "F4": ("float4_e2m1fn_x2", 1),
}
"""The dtype codes of the safetensors format: torch's name and the bytes of an element. F4 has two values in each.

Names, not torch's own dtypes, so that a header is read without torch.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """The raw little-endian, row-major bytes of one tensor inside a file."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a file shall hold."""

    name: str
    dtype: "torch.dtype"
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """Its size in bytes."""
        return prod(self.shape) * self.dtype.itemsize


def pack(tensors: list[TensorSpec], max_shard_bytes: int = 5_000_000_000) -> list[list[str]]:
    """Names per file: tensors in their order, each file at most `max_shard_bytes` unless one tensor alone is more."""
    shards: list[list[str]] = []
    room = -1
    for tensor in tensors:
        if not shards or tensor.length > room:
            shards.append([])
            room = max_shard_bytes
        shards[-1].append(tensor.name)
        room -= tensor.length
    return shards
