"""Rules for looking up by number, and for values made from nothing."""

from __future__ import annotations

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Dim
from penjing.layouts.graph.walk import Dims, Rule, Walk, arguments, op_name, shape_of


def picked(walk: Walk, node: Node, dim: Dim, index: Node) -> None:
    """A dimension looked up by number is frozen, unless the numbers are those of units of an axis: then it is that."""
    axis = walk.picks.get(index)
    if axis is not None and atoms.length(axis) == atoms.length(dim):
        walk.unify(node, dim, axis)
        atoms.mark_sensitive(dim, f"chosen by number in {walk.where(node)}")
    else:
        atoms.freeze(dim, f"looked up by number in {walk.where(node)}")


def embedding(walk: Walk, node: Node) -> Dims:
    """Rows by number."""
    arg = arguments(node)
    weight, index = walk.use(node, arg["weight"]), walk.use(node, arg["indices"])
    picked(walk, node, weight[0], arg["indices"])
    return [*index, weight[1]]


def embedding_bag(walk: Walk, node: Node) -> tuple[Dims, ...]:
    """Sums, means or largest values of rows by number, and where the bags of rows are."""
    arg = arguments(node)
    weight = walk.use(node, arg["weight"])
    picked(walk, node, weight[0], arg["indices"])
    made: list[Dims] = []
    for value in node.meta["val"]:
        dims = walk.frozen(value.shape, f"bags of rows in {walk.where(node)}")
        made.append([dims[0], weight[1]] if len(dims) == 2 else dims)
    return tuple(made)


def index(walk: Walk, node: Node) -> Dims:
    """Advanced indexing with integer tensors."""
    arg = arguments(node)
    dims, given = walk.use(node, arg["self"]), list(arg["indices"])
    found: Dims = []
    places = [i for i, t in enumerate(given) if isinstance(t, Node)]
    for place in places:
        number = given[place]
        if "bool" in str(number.meta["val"].dtype):
            raise atoms.Conflict
        picked(walk, node, dims[place], number)
        found = _broadcast(walk, node, found, walk.use(node, number))
    if arg["self"] in walk.picks:
        walk.picks[node] = walk.picks[arg["self"]]
    rest = [d for i, d in enumerate(dims) if i not in places]
    together = places == list(range(places[0], places[-1] + 1))
    start = places[0] if together else 0
    return [*rest[:start], *found, *rest[start:]]


def _broadcast(walk: Walk, node: Node, one: Dims, other: Dims) -> Dims:
    long, short = (list(one), other) if len(one) >= len(other) else (list(other), one)
    for back, dim in enumerate(reversed(short), 1):
        if dim and long[-back]:
            walk.unify(node, dim, long[-back])
        long[-back] = long[-back] or dim
    return long


def index_select(walk: Walk, node: Node) -> Dims:
    """Units of one dimension by number."""
    arg = arguments(node)
    dims = list(walk.use(node, arg["self"]))
    place = arg["dim"] % len(dims)
    picked(walk, node, dims[place], arg["index"])
    dims[place] = (walk.use(node, arg["index"]) or [[]])[0]
    return dims


def gather(walk: Walk, node: Node) -> Dims:
    """One number per output along a dimension."""
    arg = arguments(node)
    dims, numbers = walk.use(node, arg["self"]), walk.use(node, arg["index"])
    _beside(walk, node, dims, numbers, arg["dim"] % max(len(dims), 1))
    if dims:
        picked(walk, node, dims[arg["dim"] % len(dims)], arg["index"])
    if arg["self"] in walk.picks:
        walk.picks[node] = walk.picks[arg["self"]]
    return list(numbers)


def scatter(walk: Walk, node: Node) -> Dims:
    """Values written to numbered places along a dimension."""
    arg = arguments(node)
    dims, numbers = walk.use(node, arg["self"]), walk.use(node, arg["index"])
    place = arg["dim"] % max(len(dims), 1)
    _beside(walk, node, dims, numbers, place)
    if isinstance(arg.get("src"), Node):
        for a, b in zip(numbers, walk.use(node, arg["src"]), strict=True):
            if atoms.length(a) == atoms.length(b):
                walk.unify(node, a, b)
            else:
                walk.clash(node, [a, b])
    picked(walk, node, dims[place], arg["index"])
    return list(dims)


def _beside(walk: Walk, node: Node, dims: Dims, numbers: Dims, place: int) -> None:
    for d, (a, b) in enumerate(zip(dims, numbers, strict=True)):
        if d == place:
            continue
        if atoms.length(a) == atoms.length(b):
            walk.unify(node, a, b)
        else:
            walk.clash(node, [a, b])


def numbered(walk: Walk, node: Node) -> Dims:
    """Values that count: nobody cuts them."""
    return walk.frozen(shape_of(node), f"made by {op_name(node)}")


def constant(walk: Walk, node: Node) -> Dims:
    """The same value everywhere: generic in every dimension."""
    return [atoms.new_dim(s, generic=True) for s in shape_of(node)]


def alike(walk: Walk, node: Node) -> Dims:
    """A new value with the dimensions of another."""
    first = node.args[0]
    if not isinstance(first, Node):
        raise atoms.Conflict
    return list(walk.use(node, first))


CONSTANTS = (
    "full",
    "zeros",
    "ones",
    "empty",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
    "empty_strided",
    "new_empty_strided",
    "empty_permuted",
)
NUMBERED = ("arange", "eye", "linspace", "logspace", "scalar_tensor", "hann_window", "randn", "rand")
RULES: dict[str, Rule] = {
    "embedding": embedding, "_embedding_bag": embedding_bag,
    "_embedding_bag_forward_only": embedding_bag, "index": index, "_unsafe_index": index,
    "index_select": index_select, "gather": gather,
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce"), scatter),
    **dict.fromkeys(NUMBERED, numbered),
    **dict.fromkeys(CONSTANTS, constant),
    **dict.fromkeys(("full_like", "zeros_like", "ones_like", "empty_like"), alike),
}  # fmt: skip
