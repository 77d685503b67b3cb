"""Put the bytes of tensors at their places in a file: from memory, piece by piece, or from another file."""

import errno
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import FileIO
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from penjing.errors import CheckpointError, OutputError
from penjing.io.reading import PIECE
from penjing.io.spans import Span, TensorSpec

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_KERNEL_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses while `path` is written into an `OutputError`.

    Raises:
        OutputError: the disk is full, read-only, or fails.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in FULL:
            advice = "what is finished is kept; make room and run the same again to go on from there"
            raise OutputError(f"no room to write {path} ({why}); {advice}") from error
        raise OutputError(f"{path} cannot be written ({why}); choose a place that can, or mend it") from error


def ahead(pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """The same pieces, each made while the one before it is being written."""
    end = object()
    source = iter(pieces)
    with ThreadPoolExecutor(1, "penjing-ahead") as pool:
        coming = pool.submit(next, source, end)
        while isinstance(piece := coming.result(), Tensor):
            coming = pool.submit(next, source, end)
            yield piece


class ShardFile:
    """One file of the output while it grows: every tensor has its place from the start."""

    def __init__(self, path: Path, first: bytes, size: int) -> None:
        """Create or reopen `path` with `size` bytes in all, of which `first` are the header.

        Raises:
            OutputError: the file cannot be made.
        """
        self.path = path
        with writing(path):
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                os.ftruncate(self.descriptor, size)
                self._write(memoryview(first), 0)
            except BaseException:
                self.close()
                raise

    def put(self, offset: int, spec: TensorSpec, source: Tensor | Span | Iterable[Tensor]) -> None:
        """Write one tensor at its place: as it is, from the bytes of another file, or piece by piece.

        Raises:
            OutputError: the disk refuses.
            CheckpointError: the file that a span lies in cannot be read.
            ValueError: what came is not what `spec` promised.
        """
        if isinstance(source, Span):
            _promised(spec, "bytes", source.length, spec.length)
            self._copy(source, offset)
            return
        if isinstance(source, Tensor):
            _promised(spec, "shape", tuple(source.shape), spec.shape)
            source = (source,)
        done = 0
        for piece in source if isinstance(source, tuple) else ahead(source):
            _promised(spec, "dtype", piece.dtype, spec.dtype)
            length = piece.numel() * piece.element_size()
            if done + length > spec.length:
                _promised(spec, "bytes", done + length, spec.length)
            self._put_tensor(piece.detach(), offset + done)
            done += length
        _promised(spec, "bytes", done, spec.length)

    def _put_tensor(self, tensor: Tensor, offset: int) -> None:
        if tensor.is_contiguous() and tensor.device.type == "cpu":
            parts: Iterable[Tensor] = (tensor,)
        else:
            row = max(prod(tensor.shape[1:]) * tensor.element_size(), 1)
            parts = tensor.split(max(PIECE // row, 1)) if tensor.dim() else (tensor,)
        for part in parts:
            flat = part.to("cpu", memory_format=torch.contiguous_format).contiguous().reshape(-1).view(torch.uint8)
            with writing(self.path):
                offset += self._write(flat.numpy().data, offset)

    def _write(self, view: memoryview, offset: int) -> int:
        done = 0
        while done < len(view):
            done += os.pwrite(self.descriptor, view[done : done + (1 << 30)], offset + done)
        return done

    def _copy(self, span: Span, offset: int) -> None:
        try:
            with FileIO(span.path) as file:
                left = self._copy_in_kernel(file.fileno(), span, offset)
                self._copy_through_memory(file.fileno(), span, offset, left)
        except OSError as error:
            raise CheckpointError(f"{span.path} cannot be read: {error.strerror or error}") from error

    def _copy_in_kernel(self, source: int, span: Span, offset: int) -> int:
        """How many bytes are left for another way, after the kernel copied what it could (or shared the blocks)."""
        done = 0
        with writing(self.path):
            while done < span.length:
                count = min(span.length - done, 1 << 28)
                try:
                    got = os.copy_file_range(source, self.descriptor, count, span.offset + done, offset + done)
                except OSError as error:
                    if error.errno in NO_KERNEL_COPY:
                        break
                    raise
                if got == 0:
                    break
                done += got
        return span.length - done

    def _copy_through_memory(self, source: int, span: Span, offset: int, left: int) -> None:
        buffer = memoryview(bytearray(min(PIECE, left)))
        done = span.length - left
        while done < span.length:
            got = os.preadv(source, [buffer[: min(len(buffer), span.length - done)]], span.offset + done)
            if got == 0:
                short = f"{span.path} ended at byte {span.offset + done}, and {span.offset + span.length} were needed"
                raise CheckpointError(f"{short}; it changed while it was read; start again when nothing writes to it")
            with writing(self.path):
                self._write(buffer[:got], offset + done)
            done += got

    def sync(self) -> None:
        """Return when all that was written is on the disk.

        Raises:
            OutputError: the disk refuses.
        """
        with writing(self.path):
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Let go of the file, written or not."""
        with suppress(OSError):
            os.close(self.descriptor)


def _promised(spec: TensorSpec, what: str, found: object, needed: object) -> None:
    if found != needed:
        raise ValueError(f"'{spec.name}' came with {what} {found}, and {needed} was promised")
