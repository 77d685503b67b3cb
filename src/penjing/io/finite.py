"""Find weights that are not numbers before they spoil what is computed from them."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from penjing.core import Checkpoint
from penjing.errors import CheckpointError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.reading import read_pieces


def check_finite(
    checkpoint: Checkpoint, names: Iterable[str] | None = None, *, within: torch.dtype | None = None
) -> None:
    """Make sure that no weight among `names` (all, if None) is NaN or infinite, nor too large for the type `within`.

    Raises:
        CheckpointError: some are; it names their tensors.
    """
    bad = not_finite(checkpoint, names, within=within)
    if bad:
        some = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        count = f"{len(bad)} tensor{'s' if len(bad) > 1 else ''}"
        if within is not None and not not_finite(checkpoint, bad):
            most = torch.finfo(within).max
            text = f"{count} with weights above {most:.4g}, the most that {within} holds ({some})"
            raise CheckpointError(f"{text}; choose another type, such as bfloat16")
        text = f"{count} with weights that are NaN or infinite ({some}); finite weights were needed"
        raise CheckpointError(f"{text}; get the file again, or allow them where they are meant")


def not_finite(
    checkpoint: Checkpoint, names: Iterable[str] | None = None, *, within: torch.dtype | None = None
) -> tuple[str, ...]:
    """Those of `names` whose tensors hold a NaN or an infinity (or more than `within` holds), read in pieces."""
    chosen = checkpoint.shapes if names is None else names
    most = None if within is None else torch.finfo(within).max
    return tuple(name for name in chosen if not all(_finite(p, most) for p in _pieces(checkpoint, name)))


def _pieces(checkpoint: Checkpoint, name: str) -> Iterator[Tensor]:
    dtype = checkpoint.dtypes[name]
    if not dtype.is_floating_point and not dtype.is_complex:
        return
    span = checkpoint.span(name) if isinstance(checkpoint, OpenCheckpoint) else None
    if span is not None:
        yield from read_pieces(span, dtype)
    else:
        yield checkpoint[name].reshape(-1)


def _finite(piece: Tensor, limit: float | None = None) -> bool:
    if not piece.numel():
        return True
    if piece.dtype == getattr(torch, "float4_e2m1fn_x2", None):
        return True  # Every code of this format is a finite number.
    if piece.is_complex():
        piece = torch.view_as_real(piece)
    elif piece.dtype.itemsize == 1:
        piece = piece.float()
    # NaN goes through minimum and maximum, so one pass without a mask as large as the piece is enough.
    least, most = torch.aminmax(piece)
    if limit is not None and not (float(most) <= limit and float(least) >= -limit):
        return False
    return bool(torch.isfinite(least) and torch.isfinite(most))
