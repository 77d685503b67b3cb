"""Open GGUF files: tensors get the names, shapes and order of transformers, and are dequantised as they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.errors import CheckpointError, MissingExtraError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.gguf_header import REMEDY, GgufHeader, read_gguf_header
from penjing.io.gguf_models import config_of, family_of, name_of
from penjing.io.reading import read_tensor
from penjing.io.spans import Span, TensorSpec
from penjing.io.tokenizers import load_tokenizer

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
IGNORED = frozenset({"rope_freqs.weight"})
"""Tensors that stand for config entries, not for weights."""


@dataclass(frozen=True, slots=True)
class _Part:
    span: Span
    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    heads: int


def open_gguf(path: Path, *, source: str, config: Mapping[str, Any] | None) -> OpenCheckpoint:
    """The checkpoint in a GGUF file. Quantised tensors read as float32, others in their own dtype.

    Raises:
        CheckpointError: the file is damaged, or of an architecture that cannot be opened.
        MissingExtraError: the package gguf is not installed.
    """
    header = read_gguf_header(path)
    settings = dict(config) if config is not None else config_of(header)
    parts = _parts(header, settings)
    kinds = sorted({p.kind for p in parts.values() if p.kind not in PLAIN})
    if config is None:
        sizes: dict[torch.dtype, int] = {}
        for part in parts.values():
            sizes[part.dtype] = sizes.get(part.dtype, 0) + prod(part.shape)
        settings["dtype"] = str(max(sizes, key=lambda d: sizes[d])).removeprefix("torch.")
    note = f"weights were quantised to {', '.join(kinds)} and are read back as float32"
    return OpenCheckpoint(
        source=source,
        kind="gguf",
        config=settings,
        tensors={name: TensorSpec(name, part.dtype, part.shape) for name, part in parts.items()},
        spans={name: part.span for name, part in parts.items() if part.kind in PLAIN and not part.heads},
        shards=(tuple(parts),),
        notes=(note,) if kinds else (),
        read=lambda name: _read(parts[name]),
        identify=lambda: _identity(header, settings),
        load_tokenizer=partial(load_tokenizer, path.parent.resolve(), path.name),
    )


def _parts(header: GgufHeader, config: Mapping[str, Any]) -> dict[str, _Part]:
    try:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError as error:
        raise MissingExtraError("gguf", "gguf", "opening a GGUF file") from error
    paired = family_of(header).paired
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    parts: dict[str, _Part] = {}
    end = header.length
    for tensor in sorted(header.tensors, key=lambda t: t.offset):
        try:
            kind = GGMLQuantizationType(tensor.kind)
        except ValueError:
            kind = None
        if kind is None or not _readable(kind.name):
            found = f"{header.path} has '{tensor.name[:80]}' of type {kind.name if kind else tensor.kind}"
            raise CheckpointError(f"{found}, which gguf cannot dequantise; get the model in another type")
        block, size = GGML_QUANT_SIZES[kind]
        if not tensor.shape or tensor.shape[-1] % block:
            found = f"{header.path} has '{tensor.name[:80]}' of shape {list(tensor.shape)} in {kind.name}"
            raise CheckpointError(f"{found}; rows in multiples of {block} were needed; {REMEDY}")
        length = prod(tensor.shape) // block * size
        if tensor.offset < end or tensor.offset + length > header.size:
            place = f"bytes {tensor.offset} to {tensor.offset + length}"
            cut = f"the file has {header.size}: it is truncated"
            what = "overlaps what is before it" if tensor.offset < end else cut
            raise CheckpointError(f"{header.path} has '{tensor.name[:80]}' in {place}; {what}; {REMEDY}")
        end = tensor.offset + length
        if tensor.name in IGNORED:
            continue
        count = heads.get(tensor.name.split(".")[-2], 0) if paired else 0
        if count and tensor.shape[0] % (2 * count):
            raise CheckpointError(f"{header.path}: {tensor.shape[0]} rows of '{tensor.name}' do not make {count} heads")
        span = Span(header.path, tensor.offset, length)
        dtype = PLAIN.get(kind.name, torch.float32)
        parts[name_of(tensor.name, header.path)] = _Part(span, kind.name, tensor.shape, dtype, count)
    return parts


@cache
def _readable(kind: str) -> bool:
    """Whether values of this type can be read back, found out on one block of zeros."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    if kind in PLAIN:
        return True
    number = GGMLQuantizationType[kind]
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[number][1]), np.uint8), number)
    except NotImplementedError:
        return False
    return True


def _read(part: _Part) -> Tensor:
    if part.kind in PLAIN:
        values = read_tensor(part.span, part.dtype, part.shape)
    else:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        rows = prod(part.shape[:-1])
        raw = read_tensor(part.span, torch.uint8, (rows, part.span.length // max(rows, 1)))
        values = torch.from_numpy(dequantize(raw.numpy(), GGMLQuantizationType[part.kind])).reshape(part.shape)
    return _unpaired(values, part.heads) if part.heads else values


def _unpaired(weight: Tensor, heads: int) -> Tensor:
    """Rows (2i, 2i + 1) of each head, which rotate together in GGUF, become rows (i, i + half) as in transformers."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def _identity(header: GgufHeader, config: Mapping[str, Any]) -> str:
    state = header.path.stat()
    digest = sha256(repr(sorted(config.items())).encode())
    digest.update(f"{header.path.name} {state.st_size} {state.st_mtime_ns}".encode())
    with header.path.open("rb") as file:
        digest.update(file.read(header.length))
    return digest.hexdigest()
