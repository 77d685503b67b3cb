"""The recorded graph as a module of its own, with cut tensors and every size in it rewritten."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from penjing.errors import LayoutError
from penjing.layouts.graph import atoms
from penjing.layouts.graph.infer import Inference
from penjing.layouts.graph.recording import Source
from penjing.layouts.graph.walk import is_assertion, op_name, shape_of
from penjing.layouts.prove.calls import VIEWS, call_of, narrowed
from penjing.layouts.prove.masked import Kept, outputs_of


def emitted(inference: Inference, kept: Kept, tensors: Mapping[str, Tensor], *, single: bool) -> GraphModule:
    """A module that computes what the recorded one does with the units in `kept` only.

    `tensors` are what it holds, cut, by the names of the module's own. Its arguments have the names of the module's;
    its output is the tensor itself if `single`, else a tuple. Constants made of sizes are those of the whole module.
    Sizes of the example stay as they were recorded, but for the number of examples where nothing is made of it.

    Raises:
        LayoutError: the example has tensors within lists or dicts.
    """
    build = _Build(inference, kept)
    for node, source in _inputs_first(inference):
        build.input(node, source, tensors)
    for node in inference.nodes:
        if node.op == "call_function" and not is_assertion(node):
            build.call(node)
        elif node.op == "output":
            found = tuple(build.made[n] for n in outputs_of(node))
            build.graph.output(found[0] if single else found)
    build.graph.lint()
    return GraphModule(build.root, build.graph, type(inference.traced.module).__name__).eval()


def _inputs_first(inference: Inference) -> Iterator[tuple[Node, Source]]:
    """What the graph is given, before what it holds: a module's arguments stand first."""
    sources = inference.traced.recording.sources.items()
    yield from ((n, s) for n, s in sources if s.kind == "example")
    yield from ((n, s) for n, s in sources if s.kind != "example" and n.users)


class _Build:
    def __init__(self, inference: Inference, kept: Kept) -> None:
        self.inference, self.kept = inference, kept
        self.root, self.graph = nn.Module(), Graph()
        self.made: dict[Node, Node] = {}
        self.names = _argument_names(inference)

    def input(self, node: Node, source: Source, tensors: Mapping[str, Tensor]) -> None:
        """An argument, or a tensor that the module holds."""
        if source.kind == "example":
            self.made[node] = self.graph.placeholder(self.names[source.name])
            return
        tied = self.inference.traced.tied.get(source.name, source.name)
        name = f"constants.c{source.name}" if source.kind == "constant" else tied
        value = tensors.get(name, source.value).detach()
        owner = self.root
        *path, last = name.split(".")
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        if source.kind == "parameter":
            owner.register_parameter(last, nn.Parameter(value, requires_grad=source.value.requires_grad))
        else:
            owner.register_buffer(last, value, persistent=source.stored)
        self.made[node] = self.graph.get_attr(name)

    def call(self, node: Node) -> None:
        """An operator, its sizes rewritten."""
        if node in self.made:
            return
        if not isinstance(node.target, torch._ops.OpOverload):
            self.made[node] = self.graph.call_function(node.target, map_arg(node.args, self.made.__getitem__))  # type: ignore[arg-type]
            return
        if op_name(node) == "native_group_norm" and all(u.args[1] == 0 for u in node.users):
            self._group_norm(node)
            return
        target, given = call_of(self.inference, node, self.kept)
        self._any_batch(node, given)
        new = {k: map_arg(v, lambda n: self._narrowed(node, n)) for k, v in given.items()}
        self.made[node] = self.graph.call_function(target, (), new)

    def _narrowed(self, user: Node, source: Node) -> Node:
        found = self.made[source]
        for place, length in narrowed(self.inference, user, source, self.kept).items():
            found = self.graph.call_function(torch.ops.aten.slice.Tensor, (found, place, 0, length))
        return found

    def _group_norm(self, node: Node) -> None:
        """The form that is not told how many examples there are."""
        _, given = call_of(self.inference, node, self.kept)
        new = {"num_groups": given["group"], **{k: given[k] for k in ("input", "weight", "bias", "eps")}}
        found = self.graph.call_function(
            torch.ops.aten.group_norm.default, (), map_arg(new, lambda n: self._narrowed(node, n))
        )
        self.made.update(dict.fromkeys(node.users, found))

    def _any_batch(self, node: Node, given: dict[str, Any]) -> None:
        """Leave the size open that the number of examples is in, where it is one."""
        if op_name(node) == "expand":
            old, added = shape_of(given["self"]), len(given["size"]) - len(shape_of(given["self"]))
            for place, size in enumerate(old):
                if size != 1 or shape_of(node)[place + added] == 1:
                    given["size"][place + added] = -1
        elif op_name(node) in VIEWS:
            dims = self.inference.walk.all_dims(node)
            places = [i for i, d in enumerate(dims) if any(a.batch for a in atoms.leaves(d))]
            if len(places) == 1:
                given["shape"][places[0]] = -1


def _argument_names(inference: Inference) -> dict[str, str]:
    """Name of an input of the graph -> name of the argument that it is."""
    traced = inference.traced
    parameters = list(inspect.signature(traced.module.forward).parameters.values())
    several = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    names = {}
    for k, _ in enumerate(traced.args):
        plain = k < len(parameters) and parameters[k].kind in (
            inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )  # fmt: skip
        names[f"args_{k}"] = parameters[k].name if plain else f"{(several or ['args'])[0]}_{k}"
    names |= {k: k for k in traced.kwargs}
    nested = [s.name for s in traced.recording.sources.values() if s.kind == "example" and s.name not in names]
    if nested:
        raise LayoutError(
            f"the example has a tensor within a list or dict ({nested[0]}), which a graph's arguments cannot be; "
            "leave graph out, or give the module a forward that takes tensors"
        )
    return names
