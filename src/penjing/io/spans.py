"""What a file holds and what a file shall hold: names, dtypes, shapes and places, without any weights."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
} | {
    code: getattr(torch, name)
    for code, name in (("F8_E8M0", "float8_e8m0fnu"), ("F4", "float4_e2m1fn_x2"))
    if hasattr(torch, name)
}
"""The dtype codes of the safetensors format and what they are in torch. F4 counts two values per element of torch."""

CODES: dict[torch.dtype, str] = {dtype: code for code, dtype in DTYPES.items()}


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
    dtype: torch.dtype
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
