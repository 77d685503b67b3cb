"""Writing an axis in another basis in a draft: every tensor that it occurs in goes through a linear map.

A norm's output y = g * z + b is read as W y. With the gain folded, W becomes W diag(g) B, so that the norm itself has
no gain left, and what it divides by is the same in every basis. W b goes into the readers' biases; where a reader has
none, as a head, the norm keeps the bias B'(b / g). A layer norm also takes the mean off, which is the product with one
direction: a basis that maps the direction of all ones to that of all ones commutes with it, so the stock module stays.
A cut norm divides by the mean over fewer units; its gain makes up for that.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penjing.core import Norm, Pattern, Product, Rotate
from penjing.core.pattern import cut, leaves, names
from penjing.errors import PlanError
from penjing.surgery.draft import Draft
from penjing.surgery.maps import Dot, Fill, Gain, Map, mapping, units
from penjing.surgery.recipe import Recipe
from penjing.surgery.rotating import (
    check_axis,
    check_basis,
    check_cut,
    check_mean,
    check_norm,
    check_readers,
    norms_of,
    steady,
)


def check(edit: Rotate, draft: Draft) -> None:
    """See that a rotation of the axis leaves the function alone, and that the basis is one.

    Raises:
        PlanError: it is not so.
    """
    check_axis(edit.axis, draft)
    check_basis(edit.axis, edit.basis, draft)
    norms = norms_of(draft, edit.axis)
    for norm in norms:
        _check_norm(edit, draft, norm)
        check_mean(edit.axis, edit.basis, norm)
    check_readers(norms)
    check_cut(edit.axis, edit.basis, draft)


def apply(edit: Rotate, draft: Draft) -> None:
    """Let every tensor of the axis go through the basis; store apart what two of its users need differently.

    Raises:
        PlanError: no tensor of the checkpoint has the axis.
    """
    turn(edit.axis, lambda _: edit.basis, draft)


def turn(axis: str, basis_of: Callable[[str], Tensor], draft: Draft) -> None:
    """Let every tensor of an axis go through its own basis, all of one shape; the gains of norms are folded.

    Raises:
        PlanError: no tensor of the checkpoint has the axis.
    """
    one = next((basis_of(n) for n, r in draft.recipes.items() if r.pattern and axis in names(r.pattern)), None)
    if one is None:
        raise PlanError(f"{axis} occurs in no tensor of the checkpoint; derive the layout from this checkpoint")
    turned = _Turn(axis, basis_of, draft, tuple(norms_of(draft, axis)), one.shape[0], one.shape[1])
    turned.untie()
    draft.recipes.update(turned.biases())
    made = {n: turned.recipe(n, r) for n, r in draft.recipes.items() if r.pattern and axis in names(r.pattern)}
    draft.recipes.update(made)
    draft.rescaled.update(dict.fromkeys(_constants(draft, axis), axis))
    draft.sizes[axis] = one.shape[1]
    if steady(turned.norms):
        draft.steady.add(axis)


@dataclass(frozen=True, eq=False)
class _Turn:
    """One rotation of a draft as it was before it: from `width` units to `size`, each tensor by its own basis."""

    axis: str
    basis_of: Callable[[str], Tensor]
    draft: Draft
    norms: tuple[Norm, ...]
    width: int
    size: int

    def untie(self) -> None:
        """Store apart what is read behind a norm and used elsewhere too."""
        draft, aliases = self.draft, self.draft.layout.aliases
        for norm in self.norms:
            for reader, own in norm.shared.items():
                stored = draft.stored(reader)
                apart = own if own != stored else next(a for a, kept in aliases.items() if kept == reader and a != own)
                draft.recipes.setdefault(apart, draft.recipes[stored])
                draft.untied[apart] = stored

    def biases(self) -> dict[str, Recipe]:
        """The readers' biases with what their norms' biases come to, of norms all of whose readers have one."""
        out: dict[str, Recipe] = {}
        for norm in self.norms:
            if not self._absorbed(norm):
                continue
            vector = self.draft.recipes[self.draft.stored(norm.bias)]
            for reader, bias in norm.biases.items():
                weight, name = self.draft.recipes[self.draft.stored(reader)], self.draft.stored(bias)
                for dim in self.draft.layout.reads[self._known(reader)]:
                    place = units((weight.pattern or ())[dim], self.axis)
                    if bool((place >= 0).any()):
                        out[name] = self.draft.recipes[name].plus(Dot(weight, vector, dim, place))
        return out

    def _absorbed(self, norm: Norm) -> bool:
        """Whether a norm's bias goes into biases behind it, rather than staying as one behind a gain of one."""
        return bool(norm.bias) and set(norm.biases) == set(norm.readers) and not norm.shared

    def recipe(self, name: str, old: Recipe) -> Recipe:
        """What becomes of a tensor that the axis occurs in."""
        pattern = old.pattern or ()
        new = _wide(pattern, self.axis, self.size)
        for norm in self.norms:
            if norm.weight and name == self.draft.stored(norm.weight):
                return old.filled(Fill(self.width, norm.offset), self.size, new)
            if self._absorbed(norm) and name == self.draft.stored(norm.bias):
                return old.filled(Fill(0), self.size, new)
        behind = self._behind(name)
        reads = self.draft.layout.reads.get(self._known(name), ())
        maps: list[Map | None] = [None] * len(pattern)
        for dim, part in enumerate(pattern):
            if self.axis in {leaf.name for leaf in leaves(part)}:
                maps[dim] = self._map(name, part, behind if dim in reads else None, self._bias_of(name))
        if behind is None and self._scaled(name):
            whole = self.draft.layout.axes[self.axis].size  # the scale follows the width, however it came about
            maps = [m and replace(m, root=whole) for m in maps]
        return old.through(tuple(maps), new)

    def _map(self, name: str, part: Product, behind: Norm | None, bias_of: Norm | None) -> Map:
        basis = mapping(part, self.axis, self.basis_of(name))
        norm = behind or bias_of
        root = self.width if behind is not None and not behind.weight else 0
        factors: tuple[Gain | Tensor, ...] = (basis,)
        if norm is not None and norm.weight:
            gain = self.draft.recipes[self.draft.stored(norm.weight)]
            place = units(part, self.axis)
            plain = torch.equal(place, torch.arange(self.width))
            factors = (Gain(gain, norm.offset, bias_of is not None, None if plain else place), basis)
        return Map(factors, basis.shape[1], torch.arange(basis.shape[1]), root)

    def _behind(self, name: str) -> Norm | None:
        """The norm whose output a tensor reads, under this very name."""
        for norm in self.norms:
            for reader in norm.readers:
                if name == (norm.shared.get(reader) or self.draft.stored(reader)):
                    return norm
        return None

    def _bias_of(self, name: str) -> Norm | None:
        return next((n for n in self.norms if n.bias and name == self.draft.stored(n.bias)), None)

    def _known(self, name: str) -> str:
        """The name under which the layout knows a tensor."""
        layout = self.draft.layout
        if name in layout.patterns:
            return name
        tied = [t for t, kept in layout.aliases.items() if kept == name and t in layout.patterns]
        return layout.aliases.get(name) or next(iter(tied), name)

    def _scaled(self, name: str) -> bool:
        """Whether what a tensor writes is scaled by a constant that follows the width."""
        known = self._known(name)
        writes = any(w.tensor == known and w.through == "scale" for w in self.draft.layout.writers)
        return writes and any(_constants(self.draft, self.axis, known))


def _constants(draft: Draft, axis: str, tensor: str = "") -> Iterator[str]:
    """The constants that follow the axis in the modules of scaled writers, or of one of them."""
    layout = draft.layout
    found = [w.tensor for w in layout.writers if w.axis == axis and w.through == "scale" and tensor in ("", w.tensor)]
    modules = [".".join("*" if p.isdigit() else p for p in t.split(".")[:-1]) for t in found]
    for entry in layout.entries:
        if axis in entry.moves:
            yield from (c for c in entry.scales if any(c.startswith(f"{m}.") for m in modules))


def _wide(pattern: Pattern, axis: str, size: int) -> Pattern:
    return cut(pattern, {axis: size})


def _check_norm(edit: Rotate, draft: Draft, norm: Norm) -> None:
    if norm.weight and not edit.fold:
        raise PlanError(f"{norm.module} has a gain, which does not turn with {edit.axis}; fold the gains")
    check_norm(edit.axis, draft, norm)
