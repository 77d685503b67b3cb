"""Keep the units that contribute the most energy on real data, and refit the weights that read them.

A unit is scored by what its removal alone would take out of the output of the layer that reads it:
`E[h_i^2] * |W[:, i]|^2`, summed over its readers. Then each reader's weights over the units that stay are solved for by
least squares, so that they give nearly what all of them gave.

At once, all statistics are those of the unpruned model. Block by block, each block is measured on what the blocks cut
before it give, scored and refitted then; with `drift`, a reader that adds to the residual stream is fitted to the
dense stream after it less the cut stream before it, so that it makes up for what the blocks before it lost as well.

Source: the refit is that of He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv:1707.06168,
equation 1 with the choice of channels given, and, block by block, its pruning of a whole model and of multi-branch
networks (`maths.drift`). Deviations: the choice is the energy above, not a LASSO path; the ridge pulls towards the old
weights; at once, all layers are solved on the inputs of the unpruned model, in one pass, and convolutions on all places
of their windows, not on some drawn ones; convolutions in groups or with very wide windows, tied readers and other
readers with more than two dimensions are scored but not refitted (the plan's `made["notes"]` names them).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import starmap
from math import prod

import torch
from torch import Tensor

from penjing.core import Axis, Card, Checkpoint, Edit, Keep, Layout, Plan, Stats, Update, View, Wants
from penjing.core.pattern import kept_positions
from penjing.core.pattern import shape as sizes_of
from penjing.errors import UnsupportedError
from penjing.maths.drift import refit
from penjing.maths.least_squares import repair
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.saliency import by_group
from penjing.select.uniform import sizes
from penjing.select.units import places, rows

MOMENT, WINDOW, ENERGY = "input_second_moment", "window_second_moment", "input_energy"
TARGET = "target_moment"
WIDEST = 9216
"""Numbers in a window beyond which its second moment, 340 MB at this width, is not taken."""

CARD = Card(
    title="Activation energy with least-squares repair",
    paper="arXiv:1707.06168",
    removes="units of an axis, by default the neurons of every MLP",
    promise="approximates",
    needs=frozenset({MOMENT}),
)


def score(parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """[units]: the energy that each unit adds to its readers. Higher is kept.

    `parts` are, for each reader, the mean squared inputs [units each] and the squared norms of the weights that
    take them in, [units each].
    """
    return sum(((energy.double() * norms.double()).sum(1) for energy, norms in parts), start=torch.zeros(1).double())


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the units with the most energy on the calibration data; refit what reads them.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive"), `repair` whether readers are refitted, `ridge` how
    strongly the refit holds to the old weights, as a share of the mean input energy. `block_by_block` says whether each
    block is seen behind those that are cut already, or all at once, `drift` whether the refit block by block makes up
    for the blocks before. `windows` says whether convolutions with a window are refitted too (only at once): that takes
    the second moment of all that is in a window, nine times the work of a 3 x 3 convolution itself, and is left out
    where a window holds more than 9,216 numbers (1,024 channels of 3 x 3).
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    repair: bool = True
    ridge: float = 0.01
    block_by_block: bool = False
    drift: bool = True
    windows: bool = True

    def wants(self, layout: Layout) -> Wants:
        """The statistics of each reader, at once or block by block."""
        if self.block_by_block:
            return Wants(blocks=True)
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        readers = [pair for a in axes for pair in layout.readers(a.name)]
        return Wants({t: self._of(_window(layout, t, d)) for t, d in readers})

    def _of(self, window: int) -> frozenset[str]:
        """What is asked of a reader with so many numbers in a window; 1 is none."""
        if window <= 1:
            return CARD.needs
        return frozenset({ENERGY, WINDOW} if self.windows and self.repair and window <= WIDEST else {ENERGY})

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis, and the refitted weights of their readers."""
        axes = choose(view.layout, self.axes, protect=self.protect, allow=self.allow)
        counts = sizes(view.layout, axes, view.budget, model=view.model, multiple=self.multiple)
        step = _Step(view.model, view.layout, counts, self.ridge if self.repair else None)
        if self.block_by_block:
            statistics = CARD.needs | ({TARGET} if self.repair and self.drift else set())
            edits = view.by_block().edits([a.name for a in axes], statistics, step)
        else:
            edits = step([a.name for a in axes], view.stats)
        made = {"method": "activation", "settings": asdict(self), "budget": str(view.budget), "samples": step.samples}
        return Plan(tuple(edits), made={**made, "notes": step.notes})


class _Step:
    """Cuts axes whose statistics are there, and refits what reads them; knows what was cut before."""

    def __init__(self, model: Checkpoint, layout: Layout, counts: Mapping[str, int], ridge: float | None) -> None:
        self.notes: list[str] = []
        self.samples = 0
        self._model, self._layout, self._counts, self._ridge = model, layout, counts, ridge
        self._kept: dict[str, Tensor] = {}

    def __call__(self, names: Sequence[str], stats: Stats) -> list[Edit]:
        axes = [self._layout.axes[n] for n in names]
        keeps = [Keep(a.name, best(_energies(self._model, self._layout, stats, a), self._counts[a.name])) for a in axes]
        self._kept |= {k.axis: _as_mask(k, self._layout.axes[k.axis].size) for k in keeps}
        self.samples = min(self.samples or stats.samples, stats.samples)
        if self._ridge is None:
            return [*keeps]
        cut = [n for n in names if not self._kept[n].all()]
        updates, notes = _refit(self._model, self._layout, stats, cut, self._kept, self._ridge)
        self.notes += notes
        return [*keeps, *updates]


def _energies(model: Checkpoint, layout: Layout, stats: Stats, axis: Axis) -> Tensor:
    parts = []
    for tensor, dim in layout.readers(axis.name):
        weight = model[tensor].float()
        moment = stats[tensor, MOMENT].diagonal() if (tensor, MOMENT) in stats else stats[tensor, ENERGY]
        energy = by_group(moment, weight.shape[dim], tensor)
        for spots in places(layout.patterns[tensor][dim], axis.name):
            squares = rows(weight, dim, spots).square()
            norms = squares.view(*spots.shape, energy.shape[1], -1).sum(3)  # the outputs of a group lie together
            parts.append((energy[spots].flatten(1), norms.flatten(1)))
    if not parts:
        raise UnsupportedError(
            f"no weight reads axis '{axis.name}', so its energy is unknown; protect it or use magnitude"
        )
    return score(parts)


def _window(layout: Layout, tensor: str, dim: int) -> int:
    """The numbers in the window of a reader that is a convolution [out in ...] over several places; 1 of any other."""
    sizes = sizes_of(layout.patterns[tensor], {})
    return prod(sizes[1:]) if dim == 1 and prod(sizes[2:]) > 1 else 1


def _seen(stats: Stats, tensor: str) -> bool:
    """Whether the second moment of a reader's windows is known."""
    return (tensor, WINDOW) in stats and stats[tensor, WINDOW].numel() > 0


def _as_mask(keep: Keep, size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[list(keep.units)] = True
    return mask


def _refit(
    model: Checkpoint, layout: Layout, stats: Stats, cut: Sequence[str], kept: Mapping[str, Tensor], ridge: float
) -> tuple[list[Update], list[str]]:
    """The new weights of what reads the axes `cut`, in the shape that all axes of `kept` leave them."""
    readers = dict.fromkeys(pair for axis in cut for pair in layout.readers(axis))
    tied = set(layout.aliases.values())
    updates, notes = [], []
    few: dict[tuple[int, int], list[str]] = {}
    windowed: list[str] = []
    for tensor, dim in readers:
        shape = model.shapes[tensor]
        if len([n for n in shape if n > 1]) > 2 and not _seen(stats, tensor):
            windowed.append(tensor)
            continue
        if len(layout.patterns[tensor]) < 2 or tensor in tied:
            notes.append(f"{tensor} reads units that were cut and is not a plain, untied matrix; it was not refitted")
            continue
        positions = kept_positions(layout.patterns[tensor], kept)
        stays = positions[dim]
        if stays is None or len(stays) == shape[dim]:
            continue
        inputs = shape[dim] * (prod(shape[2:]) if _seen(stats, tensor) else 1)
        samples = stats.seen(tensor, WINDOW if _seen(stats, tensor) else MOMENT)
        if samples < inputs:
            few.setdefault((samples, inputs), []).append(tensor)
        strength = _ridge(ridge, inputs, samples)
        new = _refitted(tensor, model[tensor], dim, stays, stats, strength)
        for d, places_kept in enumerate(positions):
            if d != dim and places_kept is not None:
                new = new.index_select(d, places_kept)
        updates.append(Update(tensor, new.float().contiguous()))
    return updates, [*notes, *_unrefitted(windowed, stats), *starmap(_few, few.items())]


def _unrefitted(windowed: Sequence[str], stats: Stats) -> list[str]:
    """What is said of the convolutions that were cut and not refitted, and how they could be."""
    if not windowed:
        return []
    more = f" and {len(windowed) - 1} more read" if len(windowed) > 1 else " reads"
    asked = any(statistic == WINDOW for _, statistic in stats)
    hint = (
        ": convolutions in groups, of a class of their own, or over too many channels"
        if asked
        else "; windows=True (--set windows=true) refits them, at several times the work"
    )
    return [f"{windowed[0]}{more} windows of units that were cut, which were not refitted{hint}"]


def _few(found: tuple[int, int], tensors: Sequence[str]) -> str:
    """What is said of the tensors that were refitted on too little."""
    samples, inputs = found
    more = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
    them = "them" if more else "it"
    return (
        f"{tensors[0]}{more}: {samples} samples for {inputs} inputs, so the refit moves {them} less; give {inputs} or "
        "more"
    )


def _refitted(tensor: str, weight: Tensor, dim: int, stays: Tensor, stats: Stats, ridge: float) -> Tensor:
    """The weight with `stays` left of dimension `dim`, in the stored order; what reads windows, by whole windows."""
    if _seen(stats, tensor):
        window = prod(weight.shape[2:])
        columns = (stays[:, None] * window + torch.arange(window)).flatten()
        new = repair(weight.flatten(1), stats[tensor, WINDOW], columns, ridge=ridge)
        return new.reshape(len(weight), len(stays), *weight.shape[2:])
    matrix = weight.movedim(dim, -1)
    flat = matrix.reshape(-1, weight.shape[dim])
    if (tensor, TARGET) in stats:
        new = refit(flat, stats[tensor, MOMENT], stats[tensor, TARGET], stays, ridge=ridge)
    else:
        new = repair(flat, stats[tensor, MOMENT], stays, ridge=ridge)
    return new.reshape(*matrix.shape[:-1], len(stays)).movedim(-1, dim)


def _ridge(ridge: float, inputs: int, samples: int) -> float:
    """A stronger ridge when there are fewer samples than inputs, for then the second moment has no full rank."""
    return ridge * max(1.0, inputs / max(samples, 1))
