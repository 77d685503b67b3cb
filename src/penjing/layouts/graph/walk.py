"""One pass over a recorded graph that gives every value its dimensions in atoms.

The rules themselves are in `layouts/rules`: each takes the walk and a node, relates the atoms of its arguments and
returns the atoms of its result. What has no rule is frozen and noted, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Conflict, Dim

Dims = list[Dim]
Result = Dims | tuple["Result", ...] | None
"""The dimensions of a tensor; of each output of an operator that gives several; None for what is no tensor."""
Rule = Callable[["Walk", Node], Result]


@dataclass(frozen=True)
class ProductSite:
    """A product that sums: its operands, and its dimensions as they were used.

    `pairs` are the contracted dimensions (place in `first`, place in `second`). `groups` is the dimension that counts
    the groups of a grouped convolution. `over` are all dimensions it runs over: their sizes make its work.
    """

    node: Node
    first: Node
    second: Node
    pairs: tuple[tuple[int, int], ...]
    over: tuple[Dim, ...]
    groups: Dim = field(default_factory=list)


@dataclass(frozen=True)
class SumSite:
    """A sum over the dimensions `places` of `value`, harmless only where masked units are zero."""

    node: Node
    value: Node
    places: tuple[int, ...]


class Walk:
    """The state of the pass: dimensions per node, and what later passes need to know of it."""

    def __init__(self) -> None:
        """Nothing walked yet."""
        self.dims: dict[Node, Result] = {}
        self.uses: dict[Node, dict[Node, Dims]] = {}
        self.picks: dict[Node | tuple[Node, int], Dim] = {}
        self.products: list[ProductSite] = []
        self.sums: list[SumSite] = []
        self.least: list[tuple[Dim, int]] = []
        self.groups: dict[Node, Dim] = {}
        self.notes: dict[str, None] = {}
        self.idle: frozenset[Node] = frozenset()
        """Calls whose results nobody uses: what differs in them when an axis is cut is not seen."""

    def run(self, nodes: Iterable[Node], rules: Mapping[str, Rule]) -> None:
        """Apply the rules in graph order. The placeholders' dimensions are there already."""
        for node in nodes:
            if node.op == "call_function":
                before = self._marks(node) if node in self.idle else []
                self._step(node, rules)
                for leaf, _ in before:
                    atoms.find(leaf).sensitive = ""
                for leaf, reason in before:
                    atoms.mark_sensitive([atoms.find(leaf)], reason)

    def _marks(self, node: Node) -> list[tuple[Atom, str]]:
        """What is said so far of the leaves that a node touches."""
        found = (leaf for s in node.all_input_nodes for d in self.all_dims(s) for leaf in atoms.leaves(d))
        return [(leaf, leaf.sensitive) for leaf in found]

    def _step(self, node: Node, rules: Mapping[str, Rule]) -> None:
        if is_assertion(node):
            return
        rule = rules.get(op_name(node)) or (rules.get("pointwise") if is_pointwise(node) else None)
        if rule is None and draws(node):
            self.dims[node] = self._stop(node, f"{self.reason(node)} draws random numbers")
            return
        if rule is None:
            self.dims[node] = self.give_up(node, f"op {node.target} has no rule")
            return
        try:
            result = rule(self, node)
        except Conflict:
            result = self.give_up(node, f"op {node.target} in {self.where(node)} does not line up")
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
            # A form of the operator that its rule was not written for: never guessed, and never a crash.
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            result = self.give_up(node, f"op {node.target} in {self.where(node)} has a form without a rule ({what})")
        if not _agrees(result, node):
            result = self.give_up(node, f"op {node.target} in {self.where(node)} does not fit its rule")
        self.dims[node] = result

    def give_up(self, node: Node, reason: str) -> Result:
        """Freeze everything that a node touches and note it."""
        self.notes[reason] = None
        return self._stop(node, reason)

    def _stop(self, node: Node, reason: str) -> Result:
        """Freeze everything that a node touches."""
        for source in node.all_input_nodes:
            for dim in self.all_dims(source):
                atoms.freeze(dim, reason)
            for dim in self.uses.get(node, {}).get(source, []):
                atoms.freeze(dim, reason)
        return self._frozen_like(node.meta.get("val"), reason)

    def _frozen_like(self, value: object, reason: str) -> Result:
        if isinstance(value, list | tuple):
            return tuple(self._frozen_like(v, reason) for v in value)
        return self.frozen(value.shape, reason) if isinstance(value, torch.Tensor) else None

    def frozen(self, shape: Sequence[int], reason: str) -> Dims:
        """New dimensions that nobody cuts."""
        return [atoms.new_dim(int(s), frozen=reason) for s in shape]

    def all_dims(self, node: Node) -> Dims:
        """The stored dimensions of all tensors of a node."""
        return _flat(self.dims.get(node))

    def use(self, user: Node, source: Node) -> Dims:
        """The dimensions of `source` as `user` sees them: its own copy of what is generic."""
        seen = self.uses.setdefault(user, {})
        if source not in seen:
            found = self.dims.get(source)
            if not isinstance(found, list):
                raise Conflict
            seen[source] = atoms.instantiate(found)
        return seen[source]

    def unify(self, node: Node, one: Dim, other: Dim) -> None:
        """Line two dimensions up; if they cannot be, freeze both."""
        try:
            atoms.unify(one, other)
        except Conflict:
            self.clash(node, [one, other])

    def clash(self, node: Node, dims: Sequence[Dim]) -> None:
        """Freeze dimensions that cannot be lined up; noted, unless they were frozen before."""
        reason = f"op {op_name(node)} in {self.where(node)} does not line up"
        if not all(leaf.frozen for d in dims for leaf in atoms.leaves(d)):
            self.notes[reason] = None
        for d in dims:
            atoms.freeze(d, reason)

    def where(self, node: Node) -> str:
        """The path of the module in which a node was recorded."""
        return self.module(node) or "the model"

    def module(self, node: Node) -> str:
        """The path of the module in which a node was recorded, empty for the outermost."""
        return node.meta.get("module", "")

    def reason(self, node: Node) -> str:
        """The operator and the module: "mean in model.norm"."""
        return f"{op_name(node).lstrip('_')} in {self.where(node)}"


def op_name(node: Node) -> str:
    """The operator without namespace and overload: `mm`; other namespaces keep theirs."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        name = target._schema.name
        return name.removeprefix("aten::")
    return getattr(target, "__name__", str(target))


def is_pointwise(node: Node) -> bool:
    """Whether torch itself tags the operator as pointwise."""
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.pointwise in node.target.tags


def draws(node: Node) -> bool:
    """Whether an operator draws random numbers: of fewer units it would draw others."""
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


def is_assertion(node: Node) -> bool:
    """Whether a node only checks something and gives no value."""
    return ("val" not in node.meta and not node.users) or op_name(node).startswith(("_assert", "sym_constrain"))


def arguments(node: Node) -> dict[str, Any]:
    """Every argument of an ATen node by its schema name, defaults included."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        raise Conflict
    out: dict[str, Any] = {}
    for place, arg in enumerate(target._schema.arguments):
        if place < len(node.args):
            out[arg.name] = node.args[place]
        elif arg.name in node.kwargs:
            out[arg.name] = node.kwargs[arg.name]
        else:
            out[arg.name] = arg.default_value if arg.has_default_value() else None
    return out


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node's tensor.

    Raises:
        Conflict: it gives several, or none.
    """
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        raise Conflict
    return tuple(int(s) for s in value.shape)


def has_several(node: Node) -> bool:
    """Whether a node gives several values, which `getitem` takes apart."""
    return isinstance(node.meta.get("val"), list | tuple)


def _flat(result: Result) -> Dims:
    if isinstance(result, tuple):
        return [d for part in result for d in _flat(part)]
    return result or []


def _agrees(result: Result, node: Node) -> bool:
    return _fits(result, node.meta.get("val"))


def _fits(result: Result, value: object) -> bool:
    if isinstance(value, list | tuple):
        if not isinstance(result, tuple) or len(result) != len(value):
            return False
        return all(_fits(r, v) for r, v in zip(result, value, strict=True))
    if not isinstance(value, torch.Tensor):
        return result is None
    if not isinstance(result, list):
        return False
    return tuple(atoms.length(d) for d in result) == tuple(value.shape)
