"""The reference that a cut is held to: the same shapes, with zeros at the units that go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.computed import ADDED
from penjing.layouts.graph.infer import Inference
from penjing.layouts.graph.trace import run
from penjing.layouts.graph.walk import is_assertion, op_name

Kept = Mapping[Atom, Tensor]


def mask(dim: Sequence[Atom], kept: Kept) -> Tensor:
    """[length of dim] bool: which positions stay."""
    out = torch.ones(1, dtype=torch.bool)
    for atom in atoms.normal(dim):
        if atom.parts is not None:
            part = torch.cat([mask(p, kept) for p in atom.parts])
        else:
            part = kept.get(atom, torch.ones(atom.size, dtype=torch.bool))
        out = (out[:, None] & part[None, :]).flatten()
    return out


class Cut(dict[Atom, Tensor]):
    """What is kept in one run: which dimensions it touches is looked up once, for graphs of loops have many nodes."""

    def __init__(self, kept: Kept) -> None:
        """Nothing looked up yet."""
        super().__init__(kept)
        self.known: dict[int, tuple[Sequence[Atom], bool]] = {}

    def touches(self, dim: Sequence[Atom]) -> bool:
        """Whether something is cut in a dimension; the list is kept, so that its identity stays its own."""
        if id(dim) not in self.known:
            self.known[id(dim)] = dim, any(leaf in self for leaf in atoms.leaves(dim))
        return self.known[id(dim)][1]


def reference(inference: Inference, kept: Kept) -> tuple[Tensor, ...]:
    """What the module itself computes when the units that go are zero in every weight that meets activations.

    Where a weight is computed from stored tensors, as under weight normalisation, the computed one is masked. Where the
    module takes counts from its data, what its recorded graph computes, once that is what the module does.
    """
    if any(leaf in kept for value, user in _computed(inference) for leaf in inference.vanishing.leaves(value)):
        return _Masked(inference, kept).outputs()
    if inference.traced.recording.supposed and kept:
        return _of_graph(inference, kept)
    module = inference.traced.module
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    before = {}
    with torch.no_grad():
        for name, dims in inference.tensors.items():
            if any(leaf in kept for d in dims for leaf in atoms.leaves(d)):
                before[name] = tensors[name].clone()
                tensors[name].copy_(_zeroed(tensors[name], dims, kept))
        try:
            return tuple(t.clone() for t in run(module, *inference.traced.args, **inference.traced.kwargs))
        finally:
            for name, value in before.items():
                tensors[name].copy_(value)


def _of_graph(inference: Inference, kept: Kept) -> tuple[Tensor, ...]:
    """What the recorded graph computes with masked tensors: the module itself might take other counts from its data."""
    env: dict[Node, Any] = stored_values(inference)
    for node, name in inference.placeholders.items():
        env[node] = _zeroed(env[node].detach(), inference.tensors[name], kept)
    with torch.no_grad():
        for node in inference.nodes:
            if node.op == "call_function" and not is_assertion(node):
                args, kwargs = map_arg((node.args, dict(node.kwargs)), env.__getitem__)
                env[node] = node.target(*args, **kwargs)  # type: ignore[operator]
            elif node.op == "output":
                return tuple(env[n] for n in outputs_of(node))
    return ()


def stored_values(inference: Inference) -> dict[Node, Any]:
    """The value of every graph input: what the module stores, its constants, and the example."""
    return {node: source.value for node, source in inference.traced.recording.sources.items()}


def outputs_of(node: Node) -> list[Node]:
    """The nodes whose values the graph gives, flat."""

    def flat(value: Any) -> list[Node]:
        if isinstance(value, Node):
            return [value]
        return [n for v in value for n in flat(v)] if isinstance(value, list | tuple) else []

    return flat(node.args[0])


class _Masked:
    """The recorded graph on whole tensors, with computed weights masked where they meet activations."""

    def __init__(self, inference: Inference, kept: Kept) -> None:
        self.inference, self.kept = inference, kept
        self.stored = stored_values(inference)
        self.made: dict[tuple[Node, frozenset[Atom]], Any] = {}

    def outputs(self) -> tuple[Tensor, ...]:
        given = self.inference.computed.given
        env: dict[Node, Any] = {n: v for n, v in self.stored.items() if n in given}
        with torch.no_grad():
            for node in given:
                if node.op != "call_function" or is_assertion(node):
                    continue
                args, kwargs = map_arg((node.args, dict(node.kwargs)), lambda n, user=node: self._value(env, n, user))
                env[node] = node.target(*args, **kwargs)  # type: ignore[operator]
            last = next(n for n in self.inference.nodes if n.op == "output")
            return tuple(self._value(env, n, last) for n in outputs_of(last))

    def _value(self, env: Mapping[Node, Any], node: Node, user: Node) -> Any:
        if node in env:
            return env[node]
        if (node, user) not in _computed(self.inference):
            return self._made(node, frozenset(self.kept))
        own = self.inference.vanishing.leaves(node)
        value = self._made(node, frozenset(leaf for leaf in self.kept if leaf not in own))
        return _zeroed(value, self.inference.walk.all_dims(node), self.kept)

    def _made(self, node: Node, inside: frozenset[Atom]) -> Any:
        """A value that no input takes part in, the units `inside` masked in the stored tensors."""
        if (node, inside) not in self.made:
            if node.op == "placeholder":
                found = self.stored[node]
                if node in self.inference.placeholders:
                    kept = {leaf: self.kept[leaf] for leaf in inside}
                    found = _zeroed(found, self.inference.walk.all_dims(node), kept)
            else:
                args, kwargs = map_arg((node.args, dict(node.kwargs)), lambda n: self._made(n, inside))
                found = node.target(*args, **kwargs)  # type: ignore[operator]
            self.made[node, inside] = found
        return self.made[node, inside]


def _computed(inference: Inference) -> dict[tuple[Node, Node], None]:
    """(value, user) of each weight that is computed from stored tensors and multiplied with activations."""
    raw, computed = inference.provenance.raw, inference.computed
    return {
        (v, u): None for v, u in computed.uses() if v not in raw and computed.parameters[v] and op_name(u) not in ADDED
    }


def _zeroed(tensor: Tensor, dims: Sequence[Sequence[Atom]], kept: Kept) -> Tensor:
    for i, dim in enumerate(dims):
        if any(leaf in kept for leaf in atoms.leaves(dim)):
            tensor = tensor * mask(dim, kept).view([-1 if j == i else 1 for j in range(len(dims))])
    return tensor
