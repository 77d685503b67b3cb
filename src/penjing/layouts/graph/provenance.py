"""Which values are parameters in another shape, and which dimension of the parameter each of theirs comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch.fx import Node

from penjing.layouts.graph.walk import Walk, arguments, has_several, is_assertion, op_name, shape_of
from penjing.layouts.rules import shape as rules_shape
from penjing.layouts.rules import write as rules_write

Origin = list[frozenset[int]]


class Provenance:
    """For each node: the parameter that it is a view of, if it is."""

    def __init__(self, walk: Walk, nodes: Iterable[Node], parameters: Mapping[Node, str]) -> None:
        """`parameters` gives the tensor name of each placeholder that is one."""
        self.tensor: dict[Node, str] = {}
        self.origin: dict[Node, Origin] = {}
        self._parts: dict[Node, Origin] = {}
        self.raw: set[Node] = set()
        for node in nodes:
            if node.op == "placeholder" and node in parameters:
                self.raw.add(node)
                self.tensor[node] = parameters[node]
                self.origin[node] = [frozenset((i,)) for i in range(len(shape_of(node)))]
            elif node.op == "call_function" and not is_assertion(node) and node.all_input_nodes:
                self._step(walk, node)

    def _step(self, walk: Walk, node: Node) -> None:
        name, sources = op_name(node), node.all_input_nodes
        if (name in rules_shape.RULES or name in rules_write.RULES) and all(s in self.raw for s in sources):
            self.raw.add(node)
        first = sources[0]
        if first not in self.tensor or first is not node.args[0]:
            return
        if first in self._parts:
            if name == "getitem":
                self.tensor[node], self.origin[node] = self.tensor[first], self._parts[first]
            return
        if has_several(node):
            parts = _in_parts(node, name, self.origin[first])
            if parts is not None:
                self.tensor[node], self._parts[node] = self.tensor[first], parts
            return
        if name in {"index", "_unsafe_index"}:
            numbers = [i for i in arguments(node)["indices"] if isinstance(i, Node)]
            if len(numbers) == 1 and numbers[0] in walk.picks and arguments(node)["indices"][0] is numbers[0]:
                made: Origin | None = [frozenset()] * len(shape_of(numbers[0])) + self.origin[first][1:]
            else:
                made = None
        else:
            made = _moved(node, name, self.origin[first], shape_of(first) if first in self.origin else ())
        if made is not None:
            self.tensor[node], self.origin[node] = self.tensor[first], made


def _moved(node: Node, name: str, origin: Origin, old: Sequence[int]) -> Origin | None:
    if name in {"cat", "stack", "as_strided"} or name not in rules_shape.RULES:
        return None
    arg, new = arguments(node), shape_of(node)
    if name in {"view", "reshape", "_unsafe_view", "_reshape_copy", "view_copy"}:
        return _viewed(origin, old, new)
    if name == "permute":
        return [origin[d] for d in arg["dims"]]
    if name in {"transpose", "t"} and len(origin) > 1:
        out = list(origin)
        a, b = arg.get("dim0", 0), arg.get("dim1", 1)
        out[a], out[b] = out[b], out[a]
        return out
    if name == "unsqueeze":
        out = list(origin)
        out.insert(arg["dim"] % (len(out) + 1), frozenset())
        return out
    if name in {"squeeze", "squeeze_copy"}:
        return _viewed(origin, old, new)
    if name in {"expand", "repeat"}:
        return [frozenset()] * (len(new) - len(old)) + origin
    if name == "select":
        return _without(origin, arg["dim"])
    return origin if len(origin) == len(new) else None


def _in_parts(node: Node, name: str, origin: Origin) -> Origin | None:
    """The origin that each of several outputs has."""
    if name in rules_shape.UNBINDS:
        return _without(origin, arguments(node)["dim"])
    return origin if name in rules_shape.SPLITS else None


def _without(origin: Origin, dim: int) -> Origin:
    return [o for i, o in enumerate(origin) if i != dim % len(origin)]


def _viewed(origin: Origin, old: Sequence[int], new: Sequence[int]) -> Origin:
    out: Origin = []
    for (left, i), (right, j) in rules_shape.stretches(old, new):
        merged = frozenset().union(*(o for o, s in zip(origin[left:i], old[left:i], strict=True) if s != 1))
        out.extend([merged] * (min(j, len(new)) - right))
    return out
