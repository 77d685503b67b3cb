"""A packed folder: codes and scales in place of matrices, one tensor read at a time, all else as it was."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import torch
from torch import Tensor

from penjing.core.progress import Progress
from penjing.core.spec import as_file
from penjing.errors import ExportError
from penjing.exporters.packed.matrices import Matrices
from penjing.exporters.packed.scheme import ENTRY, Scheme
from penjing.io import OpenCheckpoint, write_folder
from penjing.io.side_files import name_in_output
from penjing.io.spans import Span, TensorSpec
from penjing.maths.quantise import packed, to_codes, words

CODES, SCALES, SHAPE = "_packed", "_scale", "_shape"
"""What stands behind the name of a weight."""


def write(path: Path, checkpoint: OpenCheckpoint, found: Matrices, scheme: Scheme, progress: Progress) -> None:
    """Write the folder, which appears when it is whole; where that fails, nothing is left.

    Raises:
        ExportError: a matrix holds what is no number, or none of a type with a point.
        OutputError: the folder cannot be written.
    """
    specs = _specs(checkpoint, found, scheme)
    maker, total, done = _Maker(checkpoint, scheme), sum(s.length for s in specs), 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress("packing the weights", done, total)

    try:
        write_folder(
            path, specs, maker.make, config={**as_file(checkpoint.config), ENTRY: scheme.table(found.kept)},
            side_files=_side_files(checkpoint), shards=None, fingerprint=f"{checkpoint.fingerprint} {scheme}",
            progress=told,
        )  # fmt: skip
    except BaseException:
        with suppress(OSError):
            rmtree(path.with_name(f".{path.name}.partial"))
        raise


def _specs(checkpoint: OpenCheckpoint, found: Matrices, scheme: Scheme) -> list[TensorSpec]:
    """What the files hold, in the order of the checkpoint."""
    out: list[TensorSpec] = []
    for name, spec in checkpoint.tensors.items():
        if name not in found.packed:
            out.append(spec)
            continue
        if not spec.dtype.is_floating_point:
            raise ExportError(f"{name} is stored as {spec.dtype}, and weights to pack are numbers with a point")
        rows, width = spec.shape
        groups = width // (scheme.group or width)
        out += [
            TensorSpec(name + CODES, torch.int32, (rows, words(width, scheme.bits))),
            TensorSpec(name + SCALES, spec.dtype, (rows, groups)),
            TensorSpec(name + SHAPE, torch.int64, (2,)),
        ]
    return out


class _Maker:
    """Makes each tensor when its turn comes; a matrix is read once for its codes and its scales."""

    def __init__(self, checkpoint: OpenCheckpoint, scheme: Scheme) -> None:
        self._checkpoint, self._scheme = checkpoint, scheme
        self._name, self._made = "", (torch.empty(0), torch.empty(0))

    def make(self, name: str) -> Tensor | Span:
        weight, ending = _parted(name, self._checkpoint.tensors)
        if not ending:
            return self._checkpoint.span(name) or self._checkpoint[name]
        if ending == SHAPE:
            return torch.tensor(self._checkpoint.spec(weight).shape)
        if weight != self._name:
            try:
                codes, scales = to_codes(self._checkpoint[weight], bits=self._scheme.bits, group=self._scheme.group)
            except ExportError as error:
                raise ExportError(f"{weight}: {error}") from error
            self._name, self._made = weight, (packed(codes, self._scheme.bits), scales)
        return self._made[0] if ending == CODES else self._made[1]


def _parted(name: str, stored: Mapping[str, TensorSpec]) -> tuple[str, str]:
    """(the weight, what stands behind its name); "" behind a tensor that is kept as it was."""
    ends = (CODES, SCALES, SHAPE)
    ending = "" if name in stored else next(e for e in ends if name.endswith(e))
    return name.removesuffix(ending), ending


def _side_files(checkpoint: OpenCheckpoint) -> dict[str, Path | bytes]:
    """The small files of the checkpoint's folder, read now: the folder written may lie within it."""
    if checkpoint.folder is None:
        return {}
    return {name_in_output(checkpoint.folder, p): p.read_bytes() for p in checkpoint.side_files}
