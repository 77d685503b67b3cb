"""Rules for writing one value into a part of another."""

from __future__ import annotations

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Conflict
from penjing.layouts.graph.walk import Dims, Rule, Walk, arguments, shape_of
from penjing.layouts.rules.shape import middle


def copy(walk: Walk, node: Node) -> Dims:
    """The second written over the first."""
    arg = arguments(node)
    into, src = walk.use(node, arg["self"]), walk.use(node, arg["src"])
    for a, b in zip(reversed(into), reversed(src), strict=False):
        if a and b:
            walk.unify(node, a, b)
    return list(into)


def slice_scatter(walk: Walk, node: Node) -> Dims:
    """A stretch of the first written over with the second."""
    arg = arguments(node)
    into, src = list(walk.use(node, arg["self"])), walk.use(node, arg["src"])
    place = arg["dim"] % len(into)
    if arg["step"] != 1:
        raise Conflict
    start, end, _ = slice(arg["start"], arg["end"], 1).indices(shape_of(arg["self"])[place])
    parts = middle(walk, node, into[place], start, end)
    walk.unify(node, parts[1], src[place])
    for d, (a, b) in enumerate(zip(into, src, strict=True)):
        if d != place:
            walk.unify(node, a, b)
    into[place] = atoms.concat([p for p in parts if p is not None])
    return into


def select_scatter(walk: Walk, node: Node) -> Dims:
    """One numbered unit of the first written over with the second."""
    arg = arguments(node)
    into, src = list(walk.use(node, arg["self"])), list(walk.use(node, arg["src"]))
    place = arg["dim"] % len(into)
    atoms.freeze(into[place], f"picked by number ({walk.reason(node)})")
    for a, b in zip([d for i, d in enumerate(into) if i != place], src, strict=True):
        walk.unify(node, a, b)
    return into


RULES: dict[str, Rule] = {"copy": copy, "slice_scatter": slice_scatter, "select_scatter": select_scatter}
