"""Writing an axis in another basis in a draft: every tensor that it occurs in goes through a linear map.

A norm's output y = g * z + b is read as W y. With the gain folded, W becomes W diag(g) B, so that the norm itself has
no gain left, and what it divides by is the same in every basis. W b goes into the readers' biases; where a reader has
none, as a head, the norm keeps the bias B'(b / g). A layer norm also takes the mean off, which is the product with one
direction: a basis that maps the direction of all ones to that of all ones commutes with it, so the stock module stays.
A cut norm divides by the mean over fewer units; its gain makes up for that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penjing.core import Norm, Pattern, Product, Rotate
from penjing.core.pattern import cut, leaves, names
from penjing.errors import PlanError, nearest
from penjing.surgery.draft import Draft
from penjing.surgery.maps import Dot, Fill, Gain, Map, mapping, units
from penjing.surgery.recipe import Recipe

NEAR = 1e-4
"""How far a basis may be from orthonormal: that of one kept in half precision."""


def check(edit: Rotate, draft: Draft) -> None:
    """See that a rotation of the axis leaves the function alone, and that the basis is one.

    Raises:
        PlanError: it is not so.
    """
    axis = draft.layout.axes.get(edit.axis)
    if axis is None:
        found = f"no axis is named '{edit.axis}'{nearest(edit.axis, draft.layout.axes)}"
        raise PlanError(f"{found}; this model has {draft.layout.kinds()}")
    if not axis.rotates:
        why = f"it meets {axis.rigid}" if axis.rigid else "nothing shows that the function stays what it is"
        raise PlanError(f"{axis.name} cannot be rotated: {why}; leave it as it is")
    _check_basis(edit, draft)
    norms = _norms(draft, edit.axis)
    for norm in norms:
        _check_norm(edit, draft, norm)
    _check_readers(norms)
    if edit.basis.shape[1] < edit.basis.shape[0] and axis.state not in draft.may_cut and not _steady(norms):
        raise PlanError(
            f"a basis of fewer columns cuts {axis.name}, which does not equal masking it: {axis.reason}; allow "
            "sensitive axes, or use as many columns as units"
        )


def apply(edit: Rotate, draft: Draft) -> None:
    """Let every tensor of the axis go through the basis; store apart what two of its users need differently.

    Raises:
        PlanError: no tensor of the checkpoint has the axis.
    """
    turn = _Turn(edit, draft, tuple(_norms(draft, edit.axis)))
    turn.untie()
    draft.recipes.update(turn.biases())
    made = {n: turn.recipe(n, r) for n, r in draft.recipes.items() if r.pattern and edit.axis in names(r.pattern)}
    if not made:
        raise PlanError(f"{edit.axis} occurs in no tensor of the checkpoint; derive the layout from this checkpoint")
    draft.recipes.update(made)
    draft.rescaled.update(dict.fromkeys(_constants(draft, edit.axis), edit.axis))
    draft.sizes[edit.axis] = edit.basis.shape[1]
    if _steady(turn.norms):
        draft.steady.add(edit.axis)


@dataclass(frozen=True, eq=False)
class _Turn:
    """One rotation of a draft as it was before it."""

    edit: Rotate
    draft: Draft
    norms: tuple[Norm, ...]

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
                    place = units((weight.pattern or ())[dim], self.edit.axis)
                    if bool((place >= 0).any()):
                        out[name] = self.draft.recipes[name].plus(Dot(weight, vector, dim, place))
        return out

    def _absorbed(self, norm: Norm) -> bool:
        """Whether a norm's bias goes into biases behind it, rather than staying as one behind a gain of one."""
        return bool(norm.bias) and set(norm.biases) == set(norm.readers) and not norm.shared

    def recipe(self, name: str, old: Recipe) -> Recipe:
        """What becomes of a tensor that the axis occurs in."""
        pattern = old.pattern or ()
        new = _wide(pattern, self.edit.axis, self.edit.basis.shape[1])
        for norm in self.norms:
            if norm.weight and name == self.draft.stored(norm.weight):
                return old.filled(Fill(self.width, norm.offset), self.edit.basis.shape[1], new)
            if self._absorbed(norm) and name == self.draft.stored(norm.bias):
                return old.filled(Fill(0), self.edit.basis.shape[1], new)
        behind = self._behind(name)
        reads = self.draft.layout.reads.get(self._known(name), ())
        maps: list[Map | None] = [None] * len(pattern)
        for dim, part in enumerate(pattern):
            if self.edit.axis in {leaf.name for leaf in leaves(part)}:
                maps[dim] = self._map(part, behind if dim in reads else None, self._bias_of(name))
        if behind is None and self._scaled(name):
            whole = self.draft.layout.axes[self.edit.axis].size  # the scale follows the width, however it came about
            maps = [m and replace(m, root=whole) for m in maps]
        return old.through(tuple(maps), new)

    @property
    def width(self) -> int:
        return self.edit.basis.shape[0]

    def _map(self, part: Product, behind: Norm | None, bias_of: Norm | None) -> Map:
        basis = mapping(part, self.edit.axis, self.edit.basis)
        norm = behind or bias_of
        root = self.width if behind is not None and not behind.weight else 0
        factors: tuple[Gain | Tensor, ...] = (basis,)
        if norm is not None and norm.weight:
            gain = self.draft.recipes[self.draft.stored(norm.weight)]
            place = units(part, self.edit.axis)
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
        return writes and any(_constants(self.draft, self.edit.axis, known))


def _constants(draft: Draft, axis: str, tensor: str = "") -> Iterator[str]:
    """The constants that follow the axis in the modules of scaled writers, or of one of them."""
    layout = draft.layout
    found = [w.tensor for w in layout.writers if w.axis == axis and w.through == "scale" and tensor in ("", w.tensor)]
    modules = [".".join("*" if p.isdigit() else p for p in t.split(".")[:-1]) for t in found]
    for entry in layout.entries:
        if axis in entry.moves:
            yield from (c for c in entry.scales if any(c.startswith(f"{m}.") for m in modules))


def _norms(draft: Draft, axis: str) -> list[Norm]:
    return [n for n in draft.layout.norms if n.axis == axis]


def _steady(norms: list[Norm] | tuple[Norm, ...]) -> bool:
    return bool(norms) and all(n.kind == "rms" for n in norms)


def _wide(pattern: Pattern, axis: str, size: int) -> Pattern:
    return cut(pattern, {axis: size})


def _check_basis(edit: Rotate, draft: Draft) -> None:
    basis, size = edit.basis, draft.sizes[edit.axis]
    shape = list(basis.shape)
    if basis.ndim != 2 or basis.shape[0] != size or not 1 <= basis.shape[1] <= size or not basis.is_floating_point():
        raise PlanError(
            f"the basis of {edit.axis} is {basis.dtype} {shape}; floating point [{size}, at most {size}] was needed at "
            "this point of the plan"
        )
    exact = basis.double()
    error = float((exact.T @ exact - torch.eye(shape[1], dtype=torch.float64)).abs().max())
    if not error <= NEAR:
        raise PlanError(
            f"the columns of the basis of {edit.axis} are {error:.2g} from orthonormal, at most {NEAR:g} was needed; "
            "orthonormalise them in float64"
        )


def _check_norm(edit: Rotate, draft: Draft, norm: Norm) -> None:
    if norm.kind not in {"layer", "rms"}:
        raise PlanError(f"{edit.axis} cannot be rotated: {norm.module} is a norm over parts of it; leave it as it is")
    if not norm.alone:
        raise PlanError(
            f"{edit.axis} cannot be rotated: more than products with weights use what {norm.module} gives, as where a "
            "norm follows the sum, so its gain cannot be folded; leave it as it is"
        )
    if norm.weight and not edit.fold:
        raise PlanError(f"{norm.module} has a gain, which does not turn with {edit.axis}; fold the gains")
    for reader, own in norm.shared.items():
        if (not own or len(_tied(draft, reader)) < 2):
            raise PlanError(
                f"{reader} reads {norm.module} and is used elsewhere too, and has no second name to be stored apart "
                f"under; {edit.axis} cannot be rotated"
            )
    if norm.kind == "layer" and not keeps_mean(edit.basis):
        raise PlanError(
            f"{norm.module} takes the mean off, and the basis of {edit.axis} turns the direction of the mean; make it "
            "with penjing.maths.pca.mean_keeping"
        )


def _check_readers(norms: list[Norm]) -> None:
    seen: dict[str, Norm] = {}
    for norm in norms:
        for reader in norm.readers:
            other = seen.setdefault(reader, norm)
            if other.weight != norm.weight:
                raise PlanError(
                    f"{reader} reads both {other.module} and {norm.module}, whose gains differ; their axis cannot be "
                    "rotated"
                )


def _tied(draft: Draft, name: str) -> set[str]:
    aliases = draft.layout.aliases
    kept = aliases.get(name, name)
    return {kept, *(a for a, k in aliases.items() if k == kept)}


def keeps_mean(basis: Tensor) -> bool:
    """Whether a basis [n m] maps the direction of all ones of n to that of all ones of m."""
    exact = basis.double()
    n, m = exact.shape
    return bool(((exact.sum(1) / m**0.5) - 1 / n**0.5).abs().max() <= NEAR)
