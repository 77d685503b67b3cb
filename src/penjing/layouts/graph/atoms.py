"""Atoms: the parts that dimensions are made of, and the five operations that relate them.

An atom is a leaf, or refined once into a product (outer first) or into a concatenation of products. A dimension is
an ordered product of atoms; the empty product has size one. Marks live on leaves: a mark put on a compound goes to
its leaves at once, and a leaf that is refined hands its marks on. Alignment is by structure only: two atoms are
joined because an operator lines them up, never because their sizes agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from penjing.layouts.graph.atom import Atom, Conflict, Dim, concat, find, leaves, length, new_dim, normal, stretches

__all__ = [
    "Atom", "Conflict", "Dim", "concat", "cut", "find", "freeze", "instantiate", "leaves", "length", "mark_sensitive",
    "merge", "new_dim", "normal", "regroup", "split", "stretches", "unify",
]  # fmt: skip


def split(atom: Atom, outer: int, inner: int) -> None:
    """Refine an atom into `(outer inner)`.

    Raises:
        Conflict: a stretch of a concatenation is not a multiple of `inner`.
    """
    atom = find(atom)
    if outer == 1 or inner == 1 or outer * inner != atom.size:
        raise Conflict
    if atom.product is not None:
        _split_inner(normal([atom]), inner)
    elif atom.parts is None:
        atom.product = [atom.twin(outer), atom.twin(inner)]
    else:
        pairs = [_split_inner(p, inner) for p in atom.parts]
        first = pairs[0][1]
        for _, back in pairs[1:]:
            unify(first, back)
        outer_dim = concat([front for front, _ in pairs])
        atom.product, atom.parts = [*outer_dim, *first], None


def _split_inner(dim: Sequence[Atom], inner: int) -> tuple[Dim, Dim]:
    """The dimension as (front, back), where the back has size `inner`."""
    dim = normal(dim)
    back: Dim = []
    while length(back) < inner:
        if not dim:
            raise Conflict
        last, need = dim[-1], inner // length(back)
        if inner % length(back):
            raise Conflict
        if last.size <= need:
            if need % last.size:
                raise Conflict
            back = [dim.pop(), *back]
            continue
        if last.size % need:
            raise Conflict
        split(last, last.size // need, need)
        dim = normal(dim)
    return dim, normal(back)


def regroup(dim: Sequence[Atom], sizes: Sequence[int]) -> list[Dim]:
    """The same atoms in row-major order, as dimensions of the given sizes.

    Raises:
        Conflict: an atom cannot be split where a boundary falls.
    """
    rest, out = normal(dim), []
    for size in sizes:
        group: Dim = []
        while length(group) < size:
            if size % length(group) or not rest:
                raise Conflict
            need = size // length(group)
            if rest[0].size > need:
                if rest[0].size % need:
                    raise Conflict
                split(rest[0], need, rest[0].size // need)
                rest = normal(rest)
                continue
            group.append(rest.pop(0))
            group, rest = normal(group), normal(rest)
        if length(group) != size:
            raise Conflict
        out.append(group)
    return [normal(g) for g in out]


def cut(dim: Sequence[Atom], place: int) -> tuple[Dim, Dim]:
    """The dimension as two stretches, before and from `place`, which lies inside it.

    Raises:
        Conflict: the place falls inside an inner factor.
    """
    dim = normal(dim)
    if not 0 < place < length(dim):
        raise Conflict
    inside = list(leaves(dim))
    if inside and all(leaf.frozen for leaf in inside):
        reason = inside[0].frozen
        first, second = new_dim(place, frozen=reason), new_dim(length(dim) - place, frozen=reason)
        if len(dim) == 1:
            _copy_example_marks(dim[0], [*first, *second])
        return first, second
    outer, inner = dim[0], dim[1:]
    if place % length(inner):
        raise Conflict
    place //= length(inner)
    if outer.parts is None:
        halves = [outer.twin(place)], [outer.twin(outer.size - place)]
        outer.parts = [normal(h) for h in halves]
    start, done = 0, False
    parts: list[Dim] = []
    index = 0
    for part in outer.parts:
        if start < place < start + length(part):
            parts.extend(cut(part, place - start))
            index, done = len(parts) - 1, True
        else:
            if start == place and not done:
                index, done = len(parts), True
            parts.append(part)
        start += length(part)
    outer.parts = [normal(p) for p in parts]
    return [*concat(outer.parts[:index]), *inner], [*concat(outer.parts[index:]), *inner]


def _copy_example_marks(source: Atom, targets: Sequence[Atom]) -> None:
    marked = list(leaves([source]))
    for atom in targets:
        atom.tokens = any(m.tokens for m in marked)
        atom.batch = any(m.batch for m in marked)


def unify(one: Sequence[Atom], other: Sequence[Atom]) -> None:
    """Make two dimensions of equal length one and the same.

    Raises:
        Conflict: they cannot be refined into each other.
    """
    first, second = normal(one), normal(other)
    if length(first) != length(second):
        raise Conflict
    while first and second:
        a, b = first[0], second[0]
        if a is b:
            pass
        elif a.size == b.size:
            merge(a, b)
        else:
            large, small = (a, b) if a.size > b.size else (b, a)
            if large.size % small.size:
                raise Conflict
            split(large, small.size, large.size // small.size)
            first, second = normal(first), normal(second)
            continue
        first, second = normal(first[1:]), normal(second[1:])


def merge(a: Atom, b: Atom) -> None:
    """Join two atoms of one size.

    Raises:
        Conflict: their stretches cannot be aligned.
    """
    a, b = find(a), find(b)
    if a is b:
        return
    if a.is_leaf and b.is_leaf:
        _unite_marks(a, b)
        b.parent = a
    elif a.parts is not None and b.parts is not None:
        a.parts = _align(a.parts, b.parts)
        b.parts, b.parent = None, a
    elif a.product is None and b.product is None:
        leaf, whole = (a, b) if a.is_leaf else (b, a)
        for part in leaves([whole]):
            _unite_marks(part, leaf)
        leaf.parent = whole
    else:
        unify([a], [b])


def _unite_marks(kept: Atom, gone: Atom) -> None:
    kept.frozen = kept.frozen or gone.frozen
    kept.sensitive = kept.sensitive or gone.sensitive
    kept.generic = kept.generic and gone.generic
    kept.tokens = kept.tokens or gone.tokens
    kept.batch = kept.batch or gone.batch


def _align(one: Sequence[Dim], other: Sequence[Dim]) -> list[Dim]:
    first, second = list(one), list(other)
    out: list[Dim] = []
    while first and second:
        a, b = first[0], second[0]
        if length(a) > length(b):
            first[:1] = cut(a, length(b))
        elif length(b) > length(a):
            second[:1] = cut(b, length(a))
        else:
            unify(a, b)
            out.append(normal(a))
            first.pop(0)
            second.pop(0)
    return [q for p in out for q in stretches(p)]


def freeze(dim: Sequence[Atom], reason: str) -> None:
    """Nobody cuts these; the first reason stays."""
    for leaf in leaves(dim):
        leaf.frozen = leaf.frozen or reason


def mark_sensitive(dim: Sequence[Atom], reason: str) -> None:
    """Cutting these differs from masking; the first reason stays."""
    for leaf in leaves(dim):
        leaf.sensitive = leaf.sensitive or reason


def instantiate(dims: Sequence[Sequence[Atom]]) -> list[Dim]:
    """The dimensions with a copy of every generic atom, for one use of a value."""
    copies: dict[Atom, Atom] = {}

    def fresh(dim: Sequence[Atom]) -> Dim:
        out: Dim = []
        for atom in normal(dim):
            if atom.parts is not None:
                parts = [fresh(p) for p in atom.parts]
                same = all(
                    x is y for p, q in zip(atom.parts, parts, strict=True) for x, y in zip(normal(p), q, strict=True)
                )
                out.extend([atom] if same else concat(parts))
            elif atom.generic:
                if atom not in copies:
                    copies[atom] = atom.twin(atom.size)
                out.append(copies[atom])
            else:
                out.append(atom)
        return out

    return [fresh(d) for d in dims]
