"""What a recorded run is, and what may be otherwise in a second one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.fx import Graph, Node

Kind = Literal["parameter", "buffer", "constant", "example"]


@dataclass(frozen=True)
class Source:
    """What an input of the graph is: its kind, its name, whether a checkpoint stores it, and its value."""

    kind: Kind
    name: str
    stored: bool
    value: Tensor


@dataclass(frozen=True)
class Recording:
    """The graph of one run, and what its inputs are.

    `live` are the nodes that the outputs need, `idle` the calls whose results nobody uses; the latter are no users of
    the former. `calls` are all operators in the order in which they ran. `supposed` are the lines that asked for counts
    of the data; the graph has those of one run in it.
    """

    graph: Graph
    sources: Mapping[Node, Source]
    live: list[Node]
    idle: list[Node]
    calls: list[Node]
    supposed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """What is otherwise in a run: other shapes of tensors by name, what is set beforehand, who is told of each call."""

    shapes: Mapping[str, tuple[int, ...]]
    prepare: Callable[[], None]
    tell: Callable[[Node], None]


def parted(graph: Graph) -> tuple[list[Node], list[Node]]:
    """The nodes that the outputs need, with every input, and the others, which are users of none of these any more."""
    needed = {n for n in graph.nodes if n.op != "call_function"}
    rest = [n for n in graph.nodes if n.op == "output"]
    while rest:
        for source in rest.pop().all_input_nodes:
            if source not in needed:
                needed.add(source)
                rest.append(source)
    idle = [n for n in graph.nodes if n not in needed]
    for node in idle:
        for source in node.all_input_nodes:
            if source in needed:
                source.users.pop(node, None)
    return [n for n in graph.nodes if n in needed], idle
