"""What an axis is for, read off the operators that it meets: heads, neurons, residual, ..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.names import module_path, numbers
from penjing.layouts.graph.provenance import Provenance
from penjing.layouts.graph.walk import Walk, is_pointwise, op_name
from penjing.layouts.rules.shape import COPIES

FROZEN_KINDS = (("graph input", "inputs"), ("positions of the kernel", "kernel"), ("never used", "unused"))
_FIXED = ("bound to", "made by", "picked by number", "numbered", "op ", "every", "chosen by")
_STREAM = frozenset((
    *COPIES, "view", "_unsafe_view", "reshape", "permute", "transpose", "native_layer_norm", "roll", "slice", "cat",
    "_native_batch_norm_legit_no_training", "getitem", "unsqueeze", "squeeze", "native_group_norm", "expand",
))  # fmt: skip


class Kinds:
    """Kinds per leaf, from one look over the graph."""

    def __init__(self, walk: Walk, provenance: Provenance, tensors: Mapping[str, Sequence[Dim]]) -> None:
        """`tensors` are the dimensions of each parameter."""
        self.walk, self.provenance, self.tensors = walk, provenance, tensors
        self.order = {node: i for i, node in enumerate(walk.dims)}
        self.owners: dict[Atom, dict[str, None]] = {}
        for name, dims in tensors.items():
            for dim in dims:
                for leaf in atoms.leaves(dim):
                    self.owners.setdefault(leaf, {})[name] = None
        self.found: dict[str, dict[Atom, None]] = {}
        self.sites = {site.node: site for site in walk.products}
        self._lookups()
        self._attention()
        self._streams()
        self._products()

    def of(self, leaf: Atom) -> str:
        """The kind of one leaf."""
        for start, kind in FROZEN_KINDS:
            if leaf.frozen.startswith(start) and not self._has(leaf, "vocabulary", "positions"):
                return kind
        for kind in ("vocabulary", "positions", "experts", "heads", "queries"):
            if self._has(leaf, kind):
                return kind
        if self._has(leaf, "residual"):
            return "residual"
        if leaf.frozen == "output":
            sizes = {a.size for a in self.found.get("vocabulary", {})}
            return "vocabulary" if leaf.size in sizes else "outputs"
        if self._has(leaf, "head_dims"):
            return "rotary" if leaf.frozen.startswith("bound to computed constant") else "head_dims"
        if leaf.frozen.startswith(_FIXED):
            return "dims"
        order = ("value_dims", "groups", "channels", "neurons", "depthwise")
        found = next((k for k in order if self._has(leaf, k)), "dims")
        return "channels" if found == "depthwise" else found

    def _has(self, leaf: Atom, *kinds: str) -> bool:
        return any(leaf in self.found.get(k, {}) for k in kinds)

    def _add(self, kind: str, leaves: Iterable[Atom]) -> None:
        self.found.setdefault(kind, {}).update(dict.fromkeys(a for a in leaves if a in self.owners))

    def _lookups(self) -> None:
        for dim, _ in self.walk.least:
            self._add("experts", atoms.leaves(dim))
        for node in self.walk.dims:
            if op_name(node) == "embedding" and node.args[0] in self.provenance.tensor:
                weight, index = node.args[0], node.args[1]
                if isinstance(weight, Node) and isinstance(index, Node) and index not in self.walk.picks:
                    kind = "vocabulary" if _is_input(index) else "positions"
                    self._add(kind, atoms.leaves(self.walk.all_dims(weight)[0]))

    def _attention(self) -> None:
        for site in self.walk.products:
            if op_name(site.node) not in {"bmm", "baddbmm"}:
                continue
            if site.first in self.provenance.tensor or site.second in self.provenance.tensor:
                continue
            x, y = self.walk.all_dims(site.first), self.walk.all_dims(site.second)
            first, second = set(atoms.leaves(x[0])), set(atoms.leaves(y[0]))
            self._add("heads", [a for a in atoms.leaves(site.over[0]) if a in first and a in second])
            self._add("queries", [a for a in atoms.leaves(site.over[0]) if (a in first) != (a in second)])
            self._add("head_dims", atoms.leaves(x[2]))
            self._add("value_dims", [*atoms.leaves(x[1]), *atoms.leaves(y[2])])
        convolved = {a for s in self.walk.products if op_name(s.node) == "convolution" for a in atoms.leaves(s.over[1])}
        for kind in ("head_dims", "value_dims"):
            self.found[kind] = {a: None for a in self.found.get(kind, {}) if a not in convolved}
        if "queries" in self.found:
            shared = [a for a in self.found["queries"] if not self._beside_heads(a)]
            self._add("heads", shared)

    def _beside_heads(self, leaf: Atom) -> bool:
        heads = self.found.get("heads", {})
        return any(h in self.owners and set(self.owners[h]) & set(self.owners[leaf]) for h in heads)

    def _streams(self) -> None:
        """Leaves of `x + f(x)` that f writes anew, found in more than one block or where there are no blocks."""
        for node in self.walk.dims:
            pair = [s for s in node.all_input_nodes if s not in self.provenance.raw]
            if op_name(node) != "add" or len(pair) != 2:
                continue
            early, late = sorted(pair, key=lambda n: self.order.get(n, -1))
            written = self._written(late, self.order.get(early, -1))
            fresh = [a for d in self.walk.all_dims(node) for a in atoms.leaves(d) if a in written and a in self.owners]
            if fresh and self._reaches(late, early):
                self._add("residual", [a for a in fresh if self._many_places(a)])

    def _many_places(self, leaf: Atom) -> bool:
        places = {numbers(".".join(module_path(t))) for t in self.owners[leaf]}
        return len(places) > 1 or places == {()}

    def _written(self, late: Node, after: int) -> set[Atom]:
        """The leaves that products with parameters wrote into a value, looking back through what keeps them."""
        out: set[Atom] = set()
        seen, rest = {late}, [late]
        while rest:
            node = rest.pop()
            if node in self.sites:
                site = self.sites[node]
                if site.first in self.provenance.tensor or site.second in self.provenance.tensor:
                    out |= {a for d in self.walk.all_dims(node) for a in atoms.leaves(d)}
                continue
            if not (is_pointwise(node) or op_name(node) in _STREAM):
                continue
            for source in node.all_input_nodes:
                if self.order.get(source, -1) > after and source not in seen:
                    seen.add(source)
                    rest.append(source)
        return out

    def _reaches(self, late: Node, early: Node) -> bool:
        floor = self.order.get(early, -1)
        seen, rest = {late}, [late]
        while rest:
            for source in rest.pop().all_input_nodes:
                if source is early:
                    return True
                if self.order.get(source, -1) > floor and source not in seen:
                    seen.add(source)
                    rest.append(source)
        return False

    def _products(self) -> None:
        for site in self.walk.products:
            for node, place in ((site.first, site.pairs[0][0]), (site.second, site.pairs[0][1])):
                if node in self.provenance.tensor and op_name(site.node) != "convolution":
                    self._add("neurons", atoms.leaves(self.walk.all_dims(node)[place]))
            if op_name(site.node) == "convolution" and site.second in self.provenance.tensor:
                made, into = self.walk.all_dims(site.second)[:2]
                kind = "channels" if atoms.length(into) > 1 else "depthwise"
                self._add(kind, [*atoms.leaves(made), *atoms.leaves(into)])
        grouped = {a for dim in self.walk.groups.values() for a in atoms.leaves(dim)}
        dims = [d for dims in self.tensors.values() for d in dims]
        beside = [a for d in dims for a in atoms.leaves(d) if a.size < atoms.length(d)]
        self._add("groups", [a for a in beside if a in grouped])


def _is_input(index: Node) -> bool:
    """Whether an index is a graph input, changed in shape or type at most."""
    while index.op == "call_function" and len(index.all_input_nodes) == 1:
        index = index.all_input_nodes[0]
    return bool(index.meta.get("given"))
