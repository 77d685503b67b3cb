"""Weights that the forward pass computes from other weights: where the ones that stay depend on the ones that go.

A unit of activations is masked by zeros in the weights that write and read it. A weight that is divided by a norm over
that unit changes everywhere when the unit goes, so that cutting is another function than masking: spectral and weight
normalisation, orthogonalised weights, any scale taken from the weight itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.vanish import Vanishing
from penjing.layouts.graph.walk import is_assertion, is_pointwise, op_name

ADDED = frozenset((
    "add", "sub", "cat", "stack", "where", "copy", "slice_scatter", "select_scatter", "masked_fill", "maximum",
    "minimum",
))  # fmt: skip
"""Operators that put a value beside others: it is an activation there, such as a learned first state."""
_NORMS = re.compile(r"^(.*?)\.?parametrizations\.(\w+)\.original\d*$|^(.*?)\.?(\w+?)_(?:g|v|u|orig)$")


class Computed:
    """For each value that no input takes part in: the units it was summed over, and those whose own sum scales them."""

    def __init__(self, vanishing: Vanishing, nodes: Sequence[Node], parameters: Mapping[Node, str]) -> None:
        """Look over a finished walk; `parameters` are the graph inputs that a checkpoint stores."""
        self.walk, self.vanishing = vanishing.walk, vanishing
        self.parameters: dict[Node, dict[str, None]] = {}
        self.summed: dict[Node, frozenset[Atom]] = {}
        self.scaled: dict[Node, frozenset[Atom]] = {}
        self.given = _given(nodes)
        self._over = self._sites()
        for node in nodes:
            if node in self.given or node.op not in {"placeholder", "call_function"} or node not in self.walk.dims:
                continue
            own = {parameters[node]: None} if node in parameters else {}
            self.parameters[node] = dict(own, **{p: None for s in node.all_input_nodes for p in self._of(s)})
            self._step(node)

    def _of(self, node: Node) -> dict[str, None]:
        return self.parameters.get(node, {})

    def _sites(self) -> dict[Node, list[Atom]]:
        """Node -> the leaves that it sums over, where that is not a sum of nothing but zeros."""
        zeros, over = self.vanishing.zeros, {}
        for site in self.walk.products:
            if zeros.get(site.first) is not None and zeros.get(site.second) is not None:
                dims = self.walk.all_dims(site.first), self.walk.all_dims(site.second)
                over[site.node] = [a for i, j in site.pairs for d in (dims[0][i], dims[1][j]) for a in atoms.leaves(d)]
        for total in self.walk.sums:
            if zeros.get(total.value) is not None:
                dims_ = self.walk.all_dims(total.value)
                over[total.node] = [a for place in total.places for a in atoms.leaves(dims_[place])]
        return over

    def _step(self, node: Node) -> None:
        sources = node.all_input_nodes
        summed = frozenset(self._over.get(node, ())).union(*(self.summed.get(s, ()) for s in sources))
        scaled = frozenset().union(*(self.scaled.get(s, ()) for s in sources))
        if self.vanishing.zeros.get(node, frozenset()) is None:
            summed = scaled = frozenset()
        elif is_pointwise(node) and len(sources) > 1:
            scaled |= {a for a in summed & self.vanishing.leaves(node) if self._meets_its_sum(sources, a)}
        self.summed[node], self.scaled[node] = summed, scaled

    def _meets_its_sum(self, sources: Iterable[Node], leaf: Atom) -> bool:
        """Whether a sum over a leaf, without the leaf, is combined with a value along it."""
        along = [s for s in sources if leaf in self.vanishing.leaves(s)]
        return bool(along) and any(leaf in self.summed.get(s, ()) for s in sources if s not in along)

    def dependent(self, value: Node, user: Node) -> frozenset[Atom]:
        """The units of a computed value, as `user` takes it, of which one that stays depends on others."""
        found = self.scaled.get(value, frozenset())
        if op_name(user) not in ADDED:
            found |= self.summed.get(value, frozenset()) & self.vanishing.leaves(value)
        return found

    def uses(self) -> Iterable[tuple[Node, Node]]:
        """(value, user) of each computed or stored value that meets something that an input takes part in."""
        for user in self.given:
            if user.op == "call_function" and not is_assertion(user):
                yield from ((value, user) for value in user.all_input_nodes if value in self.parameters)


def mark_computed(computed: Computed, module: nn.Module) -> None:
    """Mark as sensitive the units on which other weights of a computed weight depend."""
    for value, user in computed.uses():
        for leaf in computed.dependent(value, user):
            if not leaf.sensitive:
                leaf.sensitive = reason_of(module, computed.walk.where(user), list(computed.parameters[value]))


def mark_zero_over_zero(computed: Computed, nodes: Iterable[Node], module: nn.Module) -> None:
    """Mark as sensitive the units at which a divisor, a logarithm's argument or the like is zero once masked."""
    vanishing = computed.vanishing
    for node in nodes:
        under = _under(node) if node.op == "call_function" and node in vanishing.walk.dims else None
        zeros = vanishing.zeros.get(under) if under is not None else None
        if under is None or not zeros:
            continue
        reason = f"zero over zero where masked: {vanishing.walk.reason(node)}"
        if node in computed.parameters:
            reason = reason_of(module, vanishing.walk.where(node), list(computed.parameters[node]))
        for leaf in zeros & vanishing.leaves(node):
            atoms.mark_sensitive([leaf], reason)


def _under(node: Node) -> Node | None:
    """The argument that must not be zero."""
    name, args = op_name(node), list(node.args)
    second = args[1] if len(args) > 1 else None
    if name in {"div", "fmod", "remainder"}:
        return second if isinstance(second, Node) else None
    inverse = name == "pow" and isinstance(second, int | float) and second < 0
    singular = inverse or name in {"rsqrt", "reciprocal", "log", "log2", "log10"}
    return args[0] if singular and isinstance(args[0], Node) else None


def _given(nodes: Iterable[Node]) -> dict[Node, None]:
    """The values that an input of the module takes part in, in graph order."""
    out: dict[Node, None] = {}
    for node in nodes:
        if node.meta.get("given") or any(s in out for s in node.all_input_nodes):
            out[node] = None
    return out


def reason_of(module: nn.Module, where: str, tensors: Sequence[str]) -> str:
    """Why such a unit is not free, with the name of the scheme where the module tells it, and what to do."""
    scheme = next((s for t in tensors for s in [_scheme(module, t)] if s), "")
    what = f"{scheme} in {where}" if scheme else f"the weight of {where} is computed from {' and '.join(tensors[:3])}"
    return (
        f"{what}: the weights that stay depend on those of these units; "
        f"make the computed weight permanent{f' (take {scheme} off)' if scheme else ''} to cut them"
    )


def _scheme(module: nn.Module, tensor: str) -> str:
    """The scheme that computes a weight from a tensor: `weight_norm`, or empty where the module's own code does."""
    found = _NORMS.match(tensor)
    if found is None:
        return ""
    owner = found.group(1) if found.group(2) else found.group(3)
    parts: Any = dict(module.named_modules())
    part = parts.get(owner or "")
    listed = parts.get(f"{owner}.parametrizations.{found.group(2)}".lstrip(".")) if found.group(2) else None
    kinds = list(listed) if listed is not None else []
    if part is not None and found.group(4):
        kinds = [h for h in part._forward_pre_hooks.values() if getattr(h, "name", "") == found.group(4)]
    names = [type(k).__name__.strip("_") for k in kinds]
    return " and ".join(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", n).lower() for n in names)
