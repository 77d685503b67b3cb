"""Counts that a forward pass takes from its data, as how many tokens each expert gets: those of one run.

Code that groups tokens by expert asks how long each group is. No layout depends on the answer, for the groups are parts
of a dimension of the example, which nobody cuts; so any answer serves that the code itself could get. It is computed
from the nodes recorded so far: with zeros for tensors without values, which take no memory, and else with their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map_only

from penjing.layouts.graph.conditions import outside
from penjing.layouts.graph.recording import Source
from penjing.layouts.graph.values import real


def counts(graph: Graph, node: Node, sources: Mapping[Node, Source]) -> Tensor | None:
    """What a node would hold in one run, if it holds whole numbers; None where that cannot be computed."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.dtype in (torch.bool,) or value.is_floating_point():
        return None
    try:
        with outside(), torch.no_grad():
            return _computed(graph, node, sources)
    except Exception:  # operators without values may be of any kind; the caller then says what was asked for
        return None


def _computed(graph: Graph, node: Node, sources: Mapping[Node, Source]) -> Tensor:
    needed, rest = {node}, [node]
    while rest:
        for source in rest.pop().all_input_nodes:
            if source not in needed:
                needed.add(source)
                rest.append(source)
    found: dict[Node, Any] = {}
    for one in graph.nodes:
        if one not in needed:
            continue
        if one.op == "placeholder":
            found[one] = _given(one, sources)
        else:
            args, kwargs = map_arg((one.args, dict(one.kwargs)), found.__getitem__)
            args, kwargs = tree_map_only(torch.device, real, (args, kwargs))
            found[one] = one.target(*args, **kwargs)  # type: ignore[operator]
    return found[node]


def _given(node: Node, sources: Mapping[Node, Source]) -> Tensor:
    """The value of an input, or zeros in its shape, all of them one number."""
    value, wanted = sources[node].value, node.meta["val"]
    if value.device.type == "meta" or value.shape != wanted.shape:
        return torch.zeros((), dtype=wanted.dtype).expand(tuple(wanted.shape))
    return value.detach()
