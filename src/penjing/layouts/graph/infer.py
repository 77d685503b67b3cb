"""The layout of a module, derived from its recorded graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn
from torch.fx import Node

from penjing.core import Axis, Concat, Layout, Leaf, Pattern, Product
from penjing.core.layout import State
from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.computed import Computed, mark_computed, mark_zero_over_zero
from penjing.layouts.graph.kinds import Kinds
from penjing.layouts.graph.names import Fact, assign
from penjing.layouts.graph.provenance import Provenance
from penjing.layouts.graph.recording import Recording, Source
from penjing.layouts.graph.settings import Setting, one_number
from penjing.layouts.graph.trace import Traced, trace
from penjing.layouts.graph.vanish import Vanishing
from penjing.layouts.graph.walk import Dims, Walk, is_assertion
from penjing.layouts.graph.work import reads_of, work_of
from penjing.layouts.rules import index as rules_index
from penjing.layouts.rules import norms as rules_norms
from penjing.layouts.rules import products as rules_products
from penjing.layouts.rules import shape as rules_shape
from penjing.layouts.rules import write as rules_write
from penjing.nn import own_axes
from penjing.nn.attention import freed

RULES = {**rules_shape.RULES, **rules_products.RULES, **rules_norms.RULES, **rules_index.RULES, **rules_write.RULES}
UNUSED = "never used by the forward pass of the example"


@dataclass
class Inference:
    """A finished walk: the graph, the atoms of every node, and what follows from them."""

    traced: Traced
    nodes: list[Node]
    walk: Walk
    tensors: dict[str, Dims]
    placeholders: dict[Node, str]
    unreached: tuple[str, ...]
    vanishing: Vanishing
    computed: Computed
    provenance: Provenance = field(init=False)

    def __post_init__(self) -> None:
        self.provenance = Provenance(self.walk, self.nodes, self.placeholders)
        _freeze_unused(self)

    @cached_property
    def facts(self) -> dict[Atom, Fact]:
        """What each leaf's name depends on, in order of first occurrence."""
        kinds = Kinds(self.walk, self.provenance, self.tensors)
        reads = self.reads
        out: dict[Atom, Fact] = {}
        for leaf, owners in kinds.owners.items():
            writer = next((t for t in owners if t in reads and self._is_written(leaf, t, reads[t])), "")
            writer = writer or next(
                (t for t in owners if self._is_written(leaf, t, reads.get(t, ()))), next(iter(owners))
            )
            out[leaf] = Fact(kinds.of(leaf), tuple(owners), writer, self._place(leaf, writer))
        return out

    def _is_written(self, leaf: Atom, tensor: str, read: Sequence[int]) -> bool:
        return any(leaf in set(atoms.leaves(d)) for i, d in enumerate(self.tensors[tensor]) if i not in read)

    def _place(self, leaf: Atom, tensor: str) -> tuple[int, int]:
        for i, dim in enumerate(self.tensors[tensor]):
            for j, other in enumerate(atoms.leaves(dim)):
                if other is leaf:
                    return i, j
        return 0, 0

    @cached_property
    def names(self) -> dict[Atom, str]:
        """The name of each leaf that occurs in a tensor; axes that inserted modules have of their own say theirs."""
        own = self._own()
        facts = {leaf: fact for leaf, fact in self.facts.items() if leaf not in own}
        assigned = dict(zip(facts, assign(list(facts.values())), strict=True))
        return {leaf: own.get(leaf) or assigned[leaf] for leaf in self.facts}

    def _own(self) -> dict[Atom, str]:
        out: dict[Atom, str] = {}
        for (tensor, dim), name in own_axes(self.traced.module).items():
            found = list(atoms.leaves(self.tensors[tensor][dim])) if tensor in self.tensors else []
            if len(found) == 1:
                out[found[0]] = name
        return out

    @cached_property
    def reads(self) -> dict[str, tuple[int, ...]]:
        """For each parameter, the dimensions over which a product sums."""
        return reads_of(self.walk, self.provenance)

    def pattern(self, dims: Dims) -> Pattern:
        """Dimensions in atoms as a pattern of named leaves."""
        return tuple(self._product(d) for d in dims)

    def _product(self, dim: Dim) -> Product:
        parts: list[Leaf | Concat] = []
        for atom in atoms.normal(dim):
            if atom.parts is None:
                parts.append(Leaf(self.names.get(atom, ""), atom.size))
            else:
                parts.append(Concat(tuple(self._product(p) for p in atom.parts)))
        return Product(tuple(parts))

    def state(self, leaf: Atom) -> tuple[State, str]:
        """Whether a leaf can be cut, and the reason if not freely."""
        if leaf.frozen:
            return "uncut", leaf.frozen
        return ("sensitive", leaf.sensitive) if leaf.sensitive else ("free", "")

    def layout(self, settings: Sequence[Setting] = ()) -> Layout:
        """The layout: patterns, axes, reads, tied names, norms, writers and work; `settings` follow what is cut."""
        from penjing.layouts.graph.norms import norms_of, writers_of
        from penjing.layouts.graph.rotation import rigid_axes

        least, rigid = _least(self.walk), rigid_axes(self)
        axes = {}
        for leaf, name in self.names.items():
            state, reason = self.state(leaf)
            stiff = rigid.get(leaf, "")
            axes[name] = Axis(
                name=name, size=leaf.size, state=state, reason=reason, least=least.get(leaf, 1),
                rotates=not stiff and state != "uncut", rigid=stiff or reason if stiff or state == "uncut" else "",
            )  # fmt: skip
        return Layout(
            patterns={t: self.pattern(d) for t, d in self.tensors.items()},
            axes=axes,
            reads=self.reads,
            aliases={alias: kept for alias, kept in self.traced.tied.items() if kept in self.tensors},
            norms=norms_of(self),
            writers=writers_of(self),
            work=work_of(self.walk, self.provenance, self.names),
            unreached=self.unreached,
            notes=tuple(self.walk.notes),
            attributes={s.name: self.pattern([list(d) for d in s.dims]) for s in settings},
        )


def infer(module: nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Layout:
    """The layout of a module on `meta` or the CPU, from an example of its arguments.

    Raises:
        LayoutError: its forward cannot be run without values.
    """
    return infer_traced(trace(module, args, kwargs)).layout()


def infer_own(module: nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Layout:
    """The layout of a module of one's own: what its code, and not only its graph, can do without.

    Raises:
        LayoutError: its forward cannot be run without values.
    """
    from penjing.layouts.graph.rehearse import rehearse

    with freed(module):
        inference = infer_traced(trace(module, args, kwargs), whole=True)
        return inference.layout(rehearse(inference))


def infer_traced(traced: Traced, *, whole: bool = False) -> Inference:
    """The atoms of every value in a recorded graph, and what can be cut.

    With `whole` also what runs though nobody uses it, and what torch's modules say by one number is one axis: what is
    cut is then the module itself and not only its graph.
    """
    recording = traced.recording
    nodes = list(recording.graph.nodes) if whole else recording.live
    walk = Walk()
    walk.idle = frozenset(recording.idle)
    tensors, placeholders, kept = _placeholders(traced, walk)
    walk.run(nodes, RULES)
    if whole:
        one_number(traced.module, tensors)
        _freeze_idle(walk, recording)
    for node in nodes:
        if node.op == "output":
            for source in node.all_input_nodes:
                for dim in walk.all_dims(source):
                    atoms.freeze(dim, "output")
    vanishing = Vanishing(walk)
    for node in nodes:
        if node.op == "placeholder":
            vanishing.start(node, node in kept)
    vanishing.run(nodes)
    computed = Computed(vanishing, nodes, placeholders)
    mark_computed(computed, traced.module)
    mark_zero_over_zero(computed, nodes, traced.module)
    for path in recording.supposed:
        walk.notes[f"{path or 'the model'} takes counts from its data; the graph is that of one such run"] = None
    idle = {s for n in recording.idle for s in n.all_input_nodes} if whole else set()
    used = {placeholders[n] for n in placeholders if n.users or n in idle}
    unreached = tuple(t for t in tensors if t not in used and tensors[t])
    return Inference(traced, nodes, walk, tensors, placeholders, unreached, vanishing, computed)


def _freeze_idle(walk: Walk, recording: Recording) -> None:
    """What is made in a branch that nobody uses is not cut, for nothing shows what it is good for."""
    live = {a for n in recording.live if n.op == "call_function" for d in walk.all_dims(n) for a in atoms.leaves(d)}
    for node in recording.idle:
        for leaf in (a for d in walk.all_dims(node) for a in atoms.leaves(d)):
            if leaf not in live:
                atoms.freeze([leaf], f"made in {walk.where(node)}, whose result is not used")


def _placeholders(traced: Traced, walk: Walk) -> tuple[dict[str, Dims], dict[Node, str], set[Node]]:
    """Give every graph input its atoms: new ones to what a checkpoint stores, frozen ones to the rest."""
    tensors: dict[str, Dims] = {}
    stored: dict[Node, str] = {}
    for node, source in traced.recording.sources.items():
        if source.stored:
            name = traced.tied.get(source.name, source.name)
            if name not in tensors:
                frozen = "" if source.value.is_floating_point() else f"{name} holds whole numbers"
                tensors[name] = [atoms.new_dim(int(s), frozen=frozen) for s in source.value.shape]
            walk.dims[node], stored[node] = tensors[name], name
        elif source.kind == "example":
            walk.dims[node] = _example(walk, node)
        else:
            buffer = source.kind == "buffer"
            what = f"computed constant {source.name}" if buffer else _constant(traced.module, walk, node, source)
            walk.dims[node] = walk.frozen(source.value.shape, f"bound to {what}")
    order = {name: i for i, (name, _) in enumerate(traced.module.named_parameters())}
    tensors = dict(sorted(tensors.items(), key=lambda item: order.get(item[0], math.inf)))
    return tensors, stored, set(stored)


def _constant(module: nn.Module, walk: Walk, node: Node, source: Source) -> str:
    """What a tensor is called that is neither parameter nor buffer nor example."""
    for path, part in module.named_modules():
        name = next((n for n, held in vars(part).items() if held is source.value), "")
        if name:
            return f"the constant {path}.{name}" if path else f"the constant {name}"
    return f"a constant in {walk.where(node)}"


def _example(walk: Walk, node: Node) -> Dims:
    value = node.meta["val"]
    dims = walk.frozen(value.shape, f"graph input {node.name}")
    whole = not value.is_floating_point()
    if dims and (value.dim() > 1 or not whole):
        for atom in dims[0]:
            atom.batch = True
    if dims and whole:
        for atom in dims[-1]:
            atom.tokens = True
    return dims


def _freeze_unused(inference: Inference) -> None:
    """Parts of tensors that nothing reads (positions beyond the example's) are not proved by it: nobody cuts them."""
    used: set[Atom] = set()
    walk, raw = inference.walk, inference.provenance.raw
    for node in inference.nodes:
        if node.op not in {"call_function", "output"} or node in raw or (node.op != "output" and is_assertion(node)):
            continue
        for source in node.all_input_nodes:
            for dim in (*walk.all_dims(source), *walk.uses.get(node, {}).get(source, [])):
                used.update(atoms.leaves(dim))
    for dims in inference.tensors.values():
        for dim in dims:
            for leaf in atoms.leaves(dim):
                if leaf not in used:
                    leaf.frozen = leaf.frozen or UNUSED


def _least(walk: Walk) -> dict[Atom, int]:
    """The smallest size of each axis that units are chosen from by number."""
    out: dict[Atom, int] = {}
    for dim, count in walk.least:
        size = atoms.length(dim)
        for leaf in atoms.leaves(dim):
            out[leaf] = max(out.get(leaf, 1), -(-count * leaf.size // size))
    return out
