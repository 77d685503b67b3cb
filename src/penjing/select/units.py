"""Which weights belong to which unit of an axis, whatever the shape of the tensor."""

from collections.abc import Iterator

import torch
from torch import Tensor

from penjing.core import Checkpoint, Concat, Layout, Leaf, Product
from penjing.core.pattern import leaves, size
from penjing.errors import UnsupportedError


def places(dim: Product | Concat | Leaf, axis: str) -> list[Tensor]:
    """For each occurrence of `axis` in a dimension, the positions [units each] that belong to its units."""
    if isinstance(dim, Leaf):
        return [torch.arange(dim.size)[:, None]] if dim.name == axis else []
    if isinstance(dim, Concat):
        found, start = [], 0
        for part in dim.parts:
            found += [p + start for p in places(part, axis)]
            start += size(part, {})
        return found
    found = []
    sizes = [size(p, {}) for p in dim.parts]
    for i, part in enumerate(dim.parts):
        outer, inner = _product(sizes[:i]), _product(sizes[i + 1 :])
        for inside in places(part, axis):
            spread = torch.arange(outer)[None, :, None, None] * sizes[i] + inside[:, None, :, None]
            found.append((spread * inner + torch.arange(inner)).flatten(1))
    return found


def _product(numbers: list[int]) -> int:
    out = 1
    for n in numbers:
        out *= n
    return out


def rows(tensor: Tensor, dim: int, spots: Tensor) -> Tensor:
    """[units fan]: the weights of each unit, where `spots` [units each] are its positions in dimension `dim`."""
    return tensor.movedim(dim, 0)[spots].flatten(1)


def all_rows(model: Checkpoint, layout: Layout, axis: str) -> Iterator[Tensor]:
    """[units fan] for every occurrence of an axis in any tensor; one tensor in memory at a time."""
    for name in _stored(model, layout, axis):
        tensor = model[name].float()
        for d, part in enumerate(layout.patterns[name]):
            for spots in places(part, axis):
                yield rows(tensor, d, spots)


def written_rows(model: Checkpoint, layout: Layout, axis: str) -> Iterator[Tensor]:
    """[units fan] for every occurrence of an axis in a tensor that writes it: gate and up, not down; no biases.

    A tensor writes an axis when a dimension holds it over which no product sums. A fused gate_up tensor gives two.

    Raises:
        UnsupportedError: no tensor of two or more dimensions writes the axis.
    """
    found = False
    for name in _stored(model, layout, axis):
        if len(layout.patterns[name]) < 2:
            continue
        reads = layout.reads.get(name, ())
        dims = [d for d, part in enumerate(layout.patterns[name]) if d not in reads and _holds(part, axis)]
        if not dims:
            continue
        found = True
        tensor = model[name].float()
        for d in dims:
            for spots in places(layout.patterns[name][d], axis):
                yield rows(tensor, d, spots)
    if not found:
        raise UnsupportedError(
            f"no weight matrix writes axis '{axis}', so its units have no rows to score; use magnitude"
        )


def _holds(dim: Product, axis: str) -> bool:
    return any(leaf.name == axis for leaf in leaves(dim))


def _stored(model: Checkpoint, layout: Layout, axis: str) -> list[str]:
    return [t for t in layout.tensors(axis) if t in model.shapes]
