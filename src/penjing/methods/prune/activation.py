"""Keep the units that contribute the most energy on real data, and refit the weights that read them.

A unit is scored by what its removal alone would take out of the output of the layer that reads it:
`E[h_i^2] * |W[:, i]|^2`, summed over its readers. Then each reader's weights over the units that stay are solved for by
least squares, so that they give nearly what all of them gave.

Source: the refit is that of He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv:1707.06168,
equation 1 with the choice of channels given. Deviations: the choice is the energy above, not a LASSO path; the ridge
pulls towards the old weights; all layers are solved on the inputs of the unpruned model, in one pass; convolutions
with a window, tied readers and readers with more than two dimensions are scored but not refitted (the plan's
`made["notes"]` names them).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from penjing.core import Axis, Budget, Card, Checkpoint, Keep, Layout, Plan, Stats, Update
from penjing.core.pattern import kept_positions
from penjing.errors import PlanError
from penjing.maths.least_squares import repair
from penjing.maths.topk import best
from penjing.select.axes import choose
from penjing.select.uniform import sizes
from penjing.select.units import places, rows

MOMENT = "input_second_moment"

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
    strongly the refit holds to the old weights, as a share of the mean input energy.
    """

    axes: str = "neurons.*"
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    repair: bool = True
    ridge: float = 0.01

    def wants(self, layout: Layout) -> dict[str, frozenset[str]]:
        """Reader tensor -> the statistics needed of it."""
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        return {t: CARD.needs for a in axes for t, _ in layout.readers(a.name)}

    def plan(self, model: Checkpoint, layout: Layout, stats: Stats, budget: Budget) -> Plan:
        """Which units stay in each axis, and the refitted weights of their readers."""
        axes = choose(layout, self.axes, protect=self.protect, allow=self.allow)
        counts = sizes(layout, axes, budget, model=model, multiple=self.multiple)
        keeps = [Keep(a.name, best(_energies(model, layout, stats, a), counts[a.name])) for a in axes]
        kept = {k.axis: _as_mask(k, layout.axes[k.axis].size) for k in keeps}
        updates, notes = _refit(model, layout, stats, kept, self.ridge) if self.repair else ([], [])
        made = {"method": "activation", "settings": asdict(self), "budget": str(budget), "samples": stats.samples}
        return Plan((*keeps, *updates), made={**made, "notes": notes})


def _energies(model: Checkpoint, layout: Layout, stats: Stats, axis: Axis) -> Tensor:
    parts = []
    for tensor, dim in layout.readers(axis.name):
        energy = stats[tensor, MOMENT].diagonal()
        weight = model[tensor].float()
        for spots in places(layout.patterns[tensor][dim], axis.name):
            norms = rows(weight, dim, spots).square().view(*spots.shape, -1).sum(2)
            parts.append((energy[spots], norms))
    if not parts:
        raise PlanError(f"no weight reads axis '{axis.name}', so its energy is unknown; protect it or use magnitude")
    return score(parts)


def _as_mask(keep: Keep, size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[list(keep.units)] = True
    return mask


def _refit(
    model: Checkpoint, layout: Layout, stats: Stats, kept: Mapping[str, Tensor], ridge: float
) -> tuple[list[Update], list[str]]:
    readers = dict.fromkeys(pair for axis, mask in kept.items() if not mask.all() for pair in layout.readers(axis))
    tied = set(layout.aliases.values())
    updates, notes = [], []
    for tensor, dim in readers:
        shape = model.shapes[tensor]
        if len([n for n in shape if n > 1]) > 2 or len(layout.patterns[tensor]) < 2 or tensor in tied:
            notes.append(f"{tensor} reads units that were cut and is not a plain, untied matrix; it was not refitted")
            continue
        positions = kept_positions(layout.patterns[tensor], kept)
        stays = positions[dim]
        if stays is None or len(stays) == shape[dim]:
            continue
        matrix = model[tensor].movedim(dim, -1)
        flat = matrix.reshape(-1, shape[dim])
        if stats.samples < shape[dim]:
            notes.append(f"{tensor}: {stats.samples} samples for {shape[dim]} inputs; the refit moves it less")
        new = repair(flat, stats[tensor, MOMENT], stays, ridge=_ridge(ridge, shape[dim], stats.samples))
        new = new.reshape(*matrix.shape[:-1], len(stays)).movedim(-1, dim)
        for d, places_kept in enumerate(positions):
            if d != dim and places_kept is not None:
                new = new.index_select(d, places_kept)
        updates.append(Update(tensor, new.float().contiguous()))
    return updates, notes


def _ridge(ridge: float, inputs: int, samples: int) -> float:
    """A stronger ridge when there are fewer samples than inputs, for then the second moment has no full rank."""
    return ridge * max(1.0, inputs / max(samples, 1))
