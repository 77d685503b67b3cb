"""Units that change nothing: nobody reads them, or they are the same number whatever goes in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from penjing.core import Checkpoint, Layout, Update
from penjing.core.pattern import leaves, mask
from penjing.select.units import places, rows

Units = dict[str, Tensor]
"""Axis -> bool [units]."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What readers get from units that may be constant.

    `values` maps a reader to the constant at each position of the dimension that it sums over, NaN where there is none;
    `unfoldable` maps a reader to the reason why a constant other than 0 cannot go into its bias; `unseen` are the
    reasons why axes could not be watched.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    unfoldable: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)


Probe = Callable[[Mapping[str, Tensor]], Constants]
"""From units that may be constant to what their readers get."""


@dataclass(frozen=True, kw_only=True)
class Dead:
    """Axis -> the units nobody reads, and those that are constant and can be folded away; why others stay, counted.

    `values` holds the constants for `fold`.
    """

    unread: Units
    constant: Units
    stay: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Tensor] = field(default_factory=dict)

    def of(self, axis: str) -> Tensor:
        """[units]: whether each unit of an axis may go."""
        return self.unread[axis] | self.constant[axis]


def find(model: Checkpoint, layout: Layout, axes: Sequence[str], probe: Probe) -> Dead:
    """All units that may go without a change of the outputs, those included that only dead ones read.

    A unit is unread if every reader's weights for it are zero, in rows that stay. It may be constant if a tensor that
    writes it is zero there, in columns that stay; `probe` then says whether it is.
    """
    known = [a for a in axes if _readable(model, layout, a)]
    unread = {a: torch.zeros(layout.axes[a].size, dtype=torch.bool) for a in axes}
    constant = {a: t.clone() for a, t in unread.items()}
    values: dict[str, Tensor] = {}
    while True:
        gone = {a: unread[a] | constant[a] for a in axes}
        stay: dict[str, int] = {}
        used, silent = survey(model, layout, known, gone)
        fresh = {a: ~used[a] & ~gone[a] for a in known}
        open_ = {a: silent[a] & used[a] & ~gone[a] for a in known}
        open_ = {a: t for a, t in open_.items() if bool(t.any())}
        if open_:
            told = probe(open_)
            for a, units in open_.items():
                constant[a] |= _foldable(layout, a, units, told, stay)
            values |= {t: _first(values[t], v) if t in values else v for t, v in told.values.items()}
        for a in known:
            unread[a] |= fresh[a]
        if all(torch.equal(gone[a], unread[a] | constant[a]) for a in axes):
            return Dead(unread=unread, constant=constant, stay=stay, values=values)


def survey(model: Checkpoint, layout: Layout, axes: Sequence[str], gone: Mapping[str, Tensor]) -> tuple[Units, Units]:
    """(axis -> whether any reader uses each unit, axis -> whether a tensor that writes it is zero there).

    Units in `gone` count as taken away. Every tensor is read once. Biases are not held to be writers, norm gains are.
    """
    used = {a: torch.zeros(layout.axes[a].size, dtype=torch.bool) for a in axes}
    silent = {a: t.clone() for a, t in used.items()}
    gains = {n.weight for n in layout.norms if n.weight}
    for name, pattern in layout.patterns.items():
        own = layout.aliases.get(name, name)
        held = {leaf.name for leaf in leaves(pattern)} & set(axes)
        if not held or own not in model.shapes:
            continue
        alive = _alive(model[own], layout, name, gone)
        for d, dim in enumerate(pattern):
            for a in held:
                for spots in places(dim, a):
                    some = (rows(alive, d, spots) != 0).any(1)
                    if d in layout.reads.get(name, ()):
                        used[a] |= some
                    elif len(pattern) > 1 or name in gains:
                        silent[a] |= ~some
    return used, silent


def fold(model: Checkpoint, layout: Layout, dead: Dead, taken: Mapping[str, Tensor]) -> list[Update]:
    """New biases of the readers of constant units that are taken away: bias + weight x constant."""
    updates = []
    for reader, d in dict.fromkeys(pair for axis in taken for pair in layout.readers(axis)):
        if reader not in dead.values:
            continue
        spots = _positions(layout, reader, d, {a: t & dead.constant[a] for a, t in taken.items()})
        constants = torch.where(spots, dead.values[reader], 0.0).double()
        if not bool((constants != 0).any()):
            continue
        weight = model[layout.aliases.get(reader, reader)].double()
        added = (weight.movedim(d, -1) * constants).sum(-1)
        bias = bias_of(reader)
        updates.append(Update(bias, model[bias].double() + added.reshape(len(added), -1).sum(1)))
    return updates


def bias_of(weight: str) -> str:
    """The name of the bias beside a weight."""
    return f"{weight.removesuffix('weight')}bias"


def _alive(tensor: Tensor, layout: Layout, name: str, gone: Mapping[str, Tensor]) -> Tensor:
    """The tensor with zeros at all positions of units that are taken away."""
    for d, dim in enumerate(layout.patterns[name]):
        lost = {leaf.name for leaf in leaves(dim)} & gone.keys()
        if any(bool(gone[a].any()) for a in lost):
            stays = mask(dim, {a: ~gone[a] for a in lost})
            tensor = tensor.clone()
            tensor.movedim(d, 0)[~stays] = 0
    return tensor


def _readable(model: Checkpoint, layout: Layout, axis: str) -> bool:
    """Whether parameters that can be read sum over the axis: only then weights tell who uses it."""
    readers = [t for t, _ in layout.readers(axis)]
    return bool(readers) and all(layout.aliases.get(t, t) in model.shapes for t in readers)


def _positions(layout: Layout, reader: str, d: int, units: Mapping[str, Tensor]) -> Tensor:
    """[size of the dimension]: whether a position belongs to any of the units."""
    dim = layout.patterns[reader][d]
    own = {a: ~t for a, t in units.items() if a in {leaf.name for leaf in leaves(dim)}}
    return ~mask(dim, own)


def _foldable(layout: Layout, axis: str, units: Tensor, told: Constants, stay: dict[str, int]) -> Tensor:
    """Which of the units are constant for every reader, and can be folded into it; why others are not is counted."""
    able, constant, why = units.clone(), units.clone(), ""
    if axis in told.unseen:
        _count(stay, told.unseen[axis], int(units.sum()))
        return torch.zeros_like(units)
    for reader, d in layout.readers(axis):
        values = told.values[reader]
        for spots in places(layout.patterns[reader][d], axis):
            here = values[spots]
            constant &= ~here.isnan().any(1)
            if reader in told.unfoldable:
                hard = (here != 0).any(1)
                why = why or (told.unfoldable[reader] if bool((hard & constant).any()) else "")
                able &= ~hard
    _count(stay, why, int((constant & ~able).sum()))
    return constant & able


def _first(known: Tensor, new: Tensor) -> Tensor:
    return torch.where(known.isnan(), new, known)


def _count(stay: dict[str, int], why: str, number: int) -> None:
    if number:
        stay[why] = stay.get(why, 0) + number
