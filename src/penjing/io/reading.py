"""Read tensors from byte ranges with `pread`, so that no file is mapped and nothing is read ahead of need."""

import os
from collections.abc import Iterator
from io import FileIO
from math import prod

import torch
from torch import Tensor

from penjing.errors import CheckpointError
from penjing.io.spans import Span

PIECE = 8 << 20
"""Bytes that are held at a time where a tensor is copied or scanned in pieces."""


def read_tensor(span: Span, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The tensor of `dtype` and `shape` whose bytes are at `span`, in memory of its own.

    Raises:
        CheckpointError: the file cannot be read or became shorter than it was.
    """
    store = torch.empty(span.length, dtype=torch.uint8)
    with _opened(span) as file:
        _read(file.fileno(), store.numpy().data, span.offset, span)
    return store.view(dtype).reshape(shape)


def read_rows(span: Span, dtype: torch.dtype, shape: tuple[int, ...], start: int, stop: int) -> Tensor:
    """Rows `start` to `stop` (of the first dimension) of the tensor at `span`.

    Raises:
        CheckpointError: as `read_tensor`.
    """
    row = prod(shape[1:]) * dtype.itemsize
    part = Span(span.path, span.offset + start * row, (stop - start) * row)
    return read_tensor(part, dtype, (stop - start, *shape[1:]))


def read_pieces(span: Span, dtype: torch.dtype, most: int = PIECE) -> Iterator[Tensor]:
    """The tensor at `span` as consecutive flat pieces of at most `most` bytes, all in one reused buffer.

    Raises:
        CheckpointError: as `read_tensor`.
    """
    size = max(most // dtype.itemsize, 1) * dtype.itemsize
    store = torch.empty(min(size, span.length), dtype=torch.uint8)
    view = store.numpy().data
    with _opened(span) as file:
        for done in range(0, span.length, size):
            count = min(size, span.length - done)
            _read(file.fileno(), view[:count], span.offset + done, span)
            yield store[:count].view(dtype)


def _opened(span: Span) -> FileIO:
    try:
        return FileIO(span.path)
    except OSError as error:
        raise CheckpointError(f"{span.path} cannot be read: {error.strerror or error}") from error


def _read(descriptor: int, view: memoryview, offset: int, span: Span) -> None:
    done = 0
    while done < len(view):
        try:
            count = os.preadv(descriptor, [view[done : done + (1 << 30)]], offset + done)
        except OSError as error:
            raise CheckpointError(f"{span.path} cannot be read: {error.strerror or error}") from error
        if count == 0:
            short = f"{span.path} ended at byte {offset + done}, and {offset + len(view)} were needed"
            raise CheckpointError(f"{short}; it changed while it was read; start again when nothing writes to it")
        done += count


def map_tensor(span: Span, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The tensor at `span`, mapped from its file so that it takes no memory of its own; read where it is misaligned.

    Only for files that nobody writes to while they are mapped. Changes of the tensor do not reach the file.

    Raises:
        CheckpointError: as `read_tensor`.
    """
    if span.length == 0 or span.offset % dtype.itemsize:
        return read_tensor(span, dtype, shape)
    try:
        store = torch.UntypedStorage.from_file(str(span.path), False, span.offset + span.length)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{span.path} cannot be mapped: {str(error)[:160]}") from error
    whole = torch.empty(0, dtype=torch.uint8).set_(store)  # pyright: ignore[reportArgumentType]
    return whole[span.offset :].view(dtype).reshape(shape)
