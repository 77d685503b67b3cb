"""One atom, and the lists of atoms that dimensions are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Dim = list["Atom"]


class Conflict(Exception):  # noqa: N818 - a finding of the walk, not a fault
    """Two dimensions cannot be refined into each other."""


class Atom:
    """A union-find node. Its marks count only while it is a leaf and a root.

    `frozen` and `sensitive` hold the reason, empty for no. A `generic` atom belongs to a value that is the same all
    along it: every use takes its own copy. `tokens` and `batch` say that its size is that of the example given.
    """

    __slots__ = ("batch", "frozen", "generic", "parent", "parts", "product", "sensitive", "size", "tokens")

    def __init__(self, size: int, *, frozen: str = "", generic: bool = False) -> None:
        """A new leaf."""
        self.size = size
        self.parent: Atom | None = None
        self.product: Dim | None = None
        self.parts: list[Dim] | None = None
        self.frozen = frozen
        self.sensitive = ""
        self.generic = generic
        self.tokens = False
        self.batch = False

    def twin(self, size: int) -> Atom:
        """A new leaf with the same marks."""
        new = Atom(size, frozen=self.frozen, generic=self.generic)
        new.sensitive, new.tokens, new.batch = self.sensitive, self.tokens, self.batch
        return new

    @property
    def is_leaf(self) -> bool:
        """Whether this root has not been refined."""
        return self.product is None and self.parts is None


def new_dim(size: int, *, frozen: str = "", generic: bool = False) -> Dim:
    """A dimension of one new atom, or none for size one."""
    return [] if size == 1 else [Atom(size, frozen=frozen, generic=generic)]


def find(atom: Atom) -> Atom:
    """The root that stands for an atom."""
    root = atom
    while root.parent is not None:
        root = root.parent
    while atom.parent is not None:
        atom.parent, atom = root, atom.parent
    return root


def length(dim: Sequence[Atom]) -> int:
    """How long a dimension is."""
    return math.prod(a.size for a in dim)


def normal(dim: Sequence[Atom]) -> Dim:
    """Roots, products spliced in, size one dropped; a concatenation stays one element."""
    out: Dim = []
    for atom in dim:
        root = find(atom)
        if root.product is not None:
            out.extend(normal(root.product))
        elif root.size != 1:
            out.append(root)
    return out


def concat(parts: Sequence[Dim]) -> Dim:
    """A dimension that is these stretches laid end to end."""
    flat = [q for p in parts for q in stretches(p)]
    if len(flat) == 1:
        return flat[0]
    total = sum(length(p) for p in flat)
    if all(not p for p in flat):
        return new_dim(total, frozen="made of single units")
    atom = Atom(total)
    atom.parts = flat
    return [atom]


def stretches(dim: Sequence[Atom]) -> list[Dim]:
    """The parts of a dimension that is one concatenation, or the dimension itself as the only part."""
    dim = normal(dim)
    if len(dim) == 1 and dim[0].parts is not None:
        return [q for p in dim[0].parts for q in stretches(p)]
    return [dim]


def leaves(dim: Sequence[Atom]) -> Iterator[Atom]:
    """The leaves of a dimension, outer first, repeats included."""
    for atom in normal(dim):
        if atom.parts is None:
            yield atom
        else:
            for part in atom.parts:
                yield from leaves(part)
