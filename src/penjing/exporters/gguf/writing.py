"""Writing a file tensor by tensor, by the package `gguf`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.core.progress import Progress, silent
from penjing.errors import ExportError, MissingExtraError
from penjing.exporters.gguf.content import Content, Piece
from penjing.exporters.gguf.types import STORAGE, Storage
from penjing.exporters.llama.library import quantised

Stored = tuple[str, tuple[int, ...], int]
"""Name, shape and ggml's number of the type."""


def write(
    path: Path, content: Content, entries: Mapping[str, Any], read: Callable[[str], Tensor], stored: Mapping[str, str],
    file: int, progress: Progress = silent,
) -> None:  # fmt: skip
    """Write a file; one tensor is in memory at a time. `stored` says how each is.

    Raises:
        MissingExtraError: the package gguf is not installed.
        ExportError: a tensor is not of the shape that was told, or its values are not numbers of the type.
    """
    tensors = [(p.name, p.shape, STORAGE[stored[p.name]].kind) for p in content.pieces]
    with start(path, content.architecture, content.keys, entries, file, tensors) as out:
        for done, piece in enumerate(content.pieces):
            progress("writing tensors", done, len(content.pieces))
            out(encoded(_values(piece, read), STORAGE[stored[piece.name]]))


def _values(piece: Piece, read: Callable[[str], Tensor]) -> Tensor:
    start = read(piece.source) if piece.source else torch.zeros(piece.shape)
    if piece.below:
        start = torch.cat([start, *map(read, piece.below)])
    values = piece.change(start).float()
    if tuple(values.shape) != piece.shape:
        raise ExportError(f"{piece.source} has shape {list(values.shape)}, needed {list(piece.shape)} as {piece.name}")
    if not bool(torch.isfinite(values).all()):
        raise ExportError(f"{piece.source} holds NaN or infinity; mend the model first")
    return values


def encoded(values: Tensor, kind: Storage) -> np.ndarray:
    """float32 values as the type stores them: numbers, or bytes [rows, bytes].

    Raises:
        ExportError: a value is too large for the type.
    """
    if kind.block > 1:
        return quantised(values.reshape(-1, values.shape[-1]).numpy(), kind.kind)
    if kind.kind == 30:
        return values.to(torch.bfloat16).view(torch.int16).numpy()
    if kind.kind == 1:
        half = values.to(torch.float16)
        if not bool(torch.isfinite(half).all()):
            raise ExportError(f"a weight of {float(values.abs().max()):g} is too large for f16; export as bf16 or q8_0")
        return half.numpy()
    return values.numpy()


@contextmanager
def start(
    path: Path, architecture: str, keys: Mapping[str, Any], entries: Mapping[str, Any], file: int,
    tensors: Sequence[Stored],
) -> Iterator[Callable[[np.ndarray], None]]:  # fmt: skip
    """Begin a file; what the block is given takes the tensors' values, in their order.

    Raises:
        MissingExtraError: the package gguf is not installed.
    """
    try:
        from gguf import GGUFWriter
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError as error:
        raise MissingExtraError("gguf", "gguf", "writing a GGUF file") from error
    writer = GGUFWriter(path, architecture)
    try:
        writer.add_uint32("general.file_type", file)
        writer.add_uint32("general.quantization_version", 2)
        for key, value in [*((f"{architecture}.{k}", v) for k, v in keys.items()), *entries.items()]:
            _add(writer, key, value)
        for name, shape, number in tensors:
            kind = GGMLQuantizationType(number)
            block, size = GGML_QUANT_SIZES[kind]
            count = int(np.prod(shape))
            writer.add_tensor_info(name, shape, np.dtype(np.float32), count // block * size, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        yield writer.write_tensor_data
    finally:
        writer.close()


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
