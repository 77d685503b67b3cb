"""Where a value is exactly zero once units are zero in every parameter, and so where cutting equals masking.

A contraction or a sum over an axis is the same after cutting as after masking only if one of its operands is zero
at the masked units. Where that cannot be shown, the axis is marked sensitive.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.walk import Walk, op_name
from penjing.layouts.graph.zeros import KEEP_ZERO, NONE, PADDED, RULES, SHAPES, Zeros


class Vanishing:
    """The pass: `zeros` per node, filled in graph order."""

    def __init__(self, walk: Walk) -> None:
        """Start from a finished walk."""
        self.walk = walk
        self.zeros: dict[Node, Zeros] = {}
        self.sites = {site.node: site for site in walk.products}
        self._leaves: dict[Node, frozenset[Atom]] = {}

    def leaves(self, node: Node) -> frozenset[Atom]:
        """The leaves of a node's dimensions."""
        if node not in self._leaves:
            self._leaves[node] = frozenset(a for d in self.walk.all_dims(node) for a in atoms.leaves(d))
        return self._leaves[node]

    def start(self, node: Node, everywhere: bool) -> None:
        """A placeholder: a parameter vanishes on all its leaves, anything else on none."""
        self.zeros[node] = self.leaves(node) if everywhere else NONE

    def run(self, nodes: Sequence[Node]) -> None:
        """Fill in `zeros`, and mark the axes of contractions and sums that meet no zero."""
        for node in nodes:
            if node.op == "call_function" and node in self.walk.dims:
                found = self._step(node)
                self.zeros[node] = found if found is None else found & self.leaves(node)
        for site in self.walk.products:
            self._check_product(site.node, site.first, site.second, site.pairs)
        for total in self.walk.sums:
            dims = self.walk.all_dims(total.value)
            for place in total.places:
                self._check(total.node, atoms.leaves(dims[place]), [total.value])

    def _check_product(self, node: Node, x: Node, y: Node, pairs: Sequence[tuple[int, int]]) -> None:
        dims, others = self.walk.all_dims(x), self.walk.all_dims(y)
        for i, j in pairs:
            self._check(node, [*atoms.leaves(dims[i]), *atoms.leaves(others[j])], [x, y])
        groups = self.walk.groups.get(node)
        if groups:
            self._check(node, atoms.leaves(groups), [x, y])

    def _check(self, node: Node, over: Sequence[Atom] | object, operands: Sequence[Node]) -> None:
        if node in self.walk.idle:
            return
        for leaf in over:  # type: ignore[attr-defined]
            if not any(self.is_zero(v, leaf) for v in operands):
                atoms.mark_sensitive([leaf], f"{op_name(node)} in {self.walk.where(node)} meets no zero")

    def is_zero(self, value: Node, leaf: Atom) -> bool:
        """Whether a value is zero at the masked units of a leaf."""
        found = self.zeros.get(value, NONE)
        return found is None or leaf in found

    def _step(self, node: Node) -> Zeros:
        name = op_name(node)
        rule = RULES.get(name)
        if rule is not None:
            return rule(self, node)
        if name in SHAPES or name in KEEP_ZERO or name in PADDED:
            first = node.args[0]
            return self.zeros.get(first, NONE) if isinstance(first, Node) else NONE
        return NONE

    def meet(self, node: Node, sources: Sequence[Node]) -> Zeros:
        """Leaves on which all sources vanish at each place where the leaf occurs (sums, choices)."""
        real = [s for s in sources if self.zeros.get(s, NONE) is not None]
        if not real:
            return None
        return frozenset(a for a in self.leaves(node) if all(self._covers(node, s, a) for s in real))

    def join(self, node: Node, sources: Sequence[Node]) -> Zeros:
        """Leaves on which, at each place where the leaf occurs, some source vanishes (products)."""
        if any(self.zeros.get(s, NONE) is None for s in sources):
            return None
        dims = self.walk.all_dims(node)
        found = []
        for leaf in self.leaves(node):
            places = [len(dims) - i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
            if all(any(self.at(s, back, leaf) for s in sources) for back in places):
                found.append(leaf)
        return frozenset(found)

    def patchwork(self, node: Node, sources: Sequence[Node]) -> Zeros:
        """Leaves on which each source that has them, as it is used here, vanishes."""
        seen = {s: {a for d in self.walk.uses[node][s] for a in atoms.leaves(d)} for s in sources}
        return frozenset(a for a in self.leaves(node) if all(self.is_zero(s, a) or a not in seen[s] for s in sources))

    def _covers(self, node: Node, source: Node, leaf: Atom) -> bool:
        dims = self.walk.all_dims(node)
        places = [len(dims) - i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
        return all(self.at(source, back, leaf) for back in places)

    def at(self, source: Node, back: int, leaf: Atom) -> bool:
        """Whether a source has the leaf in its dimension `back` from the end, and is zero there."""
        dims = self.walk.all_dims(source)
        return self.is_zero(source, leaf) and back <= len(dims) and leaf in set(atoms.leaves(dims[-back]))
