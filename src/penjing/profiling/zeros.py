"""Exact zeros in the weights of a model, and units that hold nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.core import Checkpoint, Layout
from penjing.core.progress import Progress, counter, silent
from penjing.select.units import places, rows


@dataclass(frozen=True, kw_only=True)
class Zeros:
    """How many weights there are and how many are exactly zero; axis -> units that do nothing.

    A unit does nothing when all weights that read it are zero, or all that write it (its biases too; this takes an
    activation of 0 to be 0).
    """

    weights: int
    zeros: int
    units: Mapping[str, int]

    @property
    def share(self) -> float:
        """The share of weights that are zero, 0 to 1."""
        return self.zeros / max(self.weights, 1)


def count_zeros(model: Checkpoint, layout: Layout, progress: Progress = silent) -> Zeros:
    """Read every weight once and count; one tensor is in memory at a time.

    Raises:
        CheckpointError: a tensor cannot be read.
    """
    told = counter(progress, "counting zeros", len(model.shapes))
    alive: dict[tuple[str, bool], Tensor] = {}
    weights = zeros = 0
    for name in model.shapes:
        tensor = model[name]
        if tensor.is_floating_point():
            empty = tensor.numel() - int(torch.count_nonzero(tensor))
            weights, zeros = weights + tensor.numel(), zeros + empty
            for key, used in _used(layout, name, tensor, full=not empty):
                alive[key] = alive[key] | used if key in alive else used
        told(1)
    units: dict[str, int] = {}
    for axis in layout.axes.values():
        sides = [alive[key] for key in ((axis.name, True), (axis.name, False)) if key in alive]
        if axis.state == "free" and sides:
            dead = ~torch.stack(sides).all(dim=0)
            if count := int(dead.sum()):
                units[axis.name] = count
    return Zeros(weights=weights, zeros=zeros, units=units)


def _used(layout: Layout, name: str, tensor: Tensor, *, full: bool) -> Iterator[tuple[tuple[str, bool], Tensor]]:
    """((axis, whether it is read here), [units]: whether any weight of the unit is not zero)."""
    reads = layout.reads.get(name, ())
    for axis in {a for a in layout.axes if name in layout.patterns and layout.axes[a].state == "free"}:
        for d, dim in enumerate(layout.patterns[name]):
            for spots in places(dim, axis):
                used = torch.ones(len(spots), dtype=torch.bool) if full else rows(tensor, d, spots).ne(0).any(dim=1)
                yield (axis, d in reads), used
