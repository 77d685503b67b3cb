"""Rules for operators that only move, regroup, cut or join dimensions."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Conflict, Dim
from penjing.layouts.graph.walk import Dims, Result, Rule, Walk, arguments, shape_of


def source(node: Node) -> Node:
    """The first tensor argument."""
    first = node.args[0]
    if not isinstance(first, Node):
        raise Conflict
    return first


def same(walk: Walk, node: Node) -> Dims:
    """A copy: the same dimensions."""
    dims = walk.use(node, source(node))
    follow(walk, node)
    return list(dims)


def follow(walk: Walk, node: Node) -> None:
    """Numbers that pick units still pick them after a change of shape."""
    first = source(node)
    if first in walk.picks:
        walk.picks[node] = walk.picks[first]


def view(walk: Walk, node: Node) -> Dims:
    """Row-major regrouping, stretch by stretch where the sizes meet."""
    dims, old, new = walk.use(node, source(node)), shape_of(source(node)), shape_of(node)
    follow(walk, node)
    if math.prod(new) == 0:
        return walk.frozen(new, "an empty tensor")
    out: Dims = []
    for (left, i), (right, j) in stretches(old, new):
        out.extend(_regroup(walk, node, [a for d in dims[left:i] for a in d], new[right:j]))
    return out


def stretches(old: Sequence[int], new: Sequence[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The smallest stretches of two shapes of one length that hold the same number of elements."""
    out, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        left, right = i, j
        have, want = (old[i] if i < len(old) else 1), (new[j] if j < len(new) else 1)
        i, j = i + 1, j + 1
        while have != want:
            if have < want:
                have, i = have * old[i], i + 1
            else:
                want, j = want * new[j], j + 1
        out.append(((left, min(i, len(old))), (min(right, len(new)), min(j, len(new)))))
    return out


def _regroup(walk: Walk, node: Node, flat: Dim, sizes: tuple[int, ...]) -> Dims:
    try:
        return atoms.regroup(flat, sizes)
    except Conflict:
        walk.clash(node, [flat])
        out = walk.frozen(sizes, f"{walk.reason(node)} does not line up")
        for leaf in atoms.leaves(flat):
            if (leaf.tokens or leaf.batch) and leaf.size in sizes:
                twin = atoms.leaves(out[sizes.index(leaf.size)])
                for other in twin:
                    other.tokens, other.batch = leaf.tokens, leaf.batch
        return out


def permute(walk: Walk, node: Node) -> Dims:
    """Dimensions in another order."""
    dims = walk.use(node, source(node))
    follow(walk, node)
    return [dims[d] for d in arguments(node)["dims"]]


def transpose(walk: Walk, node: Node) -> Dims:
    """Two dimensions swapped (`t`: the only two)."""
    dims = list(walk.use(node, source(node)))
    follow(walk, node)
    if len(dims) < 2:
        return dims
    arg = arguments(node)
    a, b = arg.get("dim0", 0), arg.get("dim1", 1)
    dims[a], dims[b] = dims[b], dims[a]
    return dims


def unsqueeze(walk: Walk, node: Node) -> Dims:
    """A new dimension of size one."""
    dims = list(walk.use(node, source(node)))
    follow(walk, node)
    dims.insert(arguments(node)["dim"] % (len(dims) + 1), [])
    return dims


def squeeze(walk: Walk, node: Node) -> Dims:
    """Dimensions of size one dropped."""
    dims, old = walk.use(node, source(node)), shape_of(source(node))
    follow(walk, node)
    given = arguments(node).get("dim")
    chosen = range(len(old)) if given is None else [d % max(len(old), 1) for d in _listed(given)]
    return [d for i, d in enumerate(dims) if i not in chosen or old[i] != 1]


def _listed(value: object) -> list[int]:
    return [value] if isinstance(value, int) else list(value)  # type: ignore[call-overload]


def as_strided(walk: Walk, node: Node) -> Dims:
    """A view, if strides say that it is no more than one."""
    old, new = source(node).meta["val"], node.meta["val"]
    trivial = [sorted((s, t) for s, t in zip(v.shape, v.stride(), strict=True) if s != 1) for v in (old, new)]
    if old.is_contiguous() and new.is_contiguous() and old.numel() == new.numel():
        return view(walk, node)
    if trivial[0] != trivial[1] or len(set(trivial[0])) != len(trivial[0]):
        raise Conflict
    dims = walk.use(node, source(node))
    place = {(s, t): d for s, t, d in zip(old.shape, old.stride(), dims, strict=True) if s != 1}
    return [place[s, t] if s != 1 else [] for s, t in zip(new.shape, new.stride(), strict=True)]


def expand(walk: Walk, node: Node) -> Dims:
    """Where one became many, a generic dimension: the value is the same all along it."""
    dims, old, new = walk.use(node, source(node)), shape_of(source(node)), shape_of(node)
    follow(walk, node)
    added = len(new) - len(old)
    out: Dims = [atoms.new_dim(s, generic=True) for s in new[:added]]
    for d, o, n in zip(dims, old, new[added:], strict=True):
        out.append(d if o == n else atoms.new_dim(n, generic=True))
    return out


def repeat(walk: Walk, node: Node) -> Dims:
    """Each dimension becomes `(times old)`, the same value for each time."""
    dims, times = walk.use(node, source(node)), list(arguments(node)["repeats"])
    follow(walk, node)
    padded = [[]] * (len(times) - len(dims)) + list(dims)
    return [[*atoms.new_dim(t, generic=True), *d] for t, d in zip(times, padded, strict=True)]


def slice_(walk: Walk, node: Node) -> Dims:
    """A stretch of a dimension, or every k-th of it."""
    arg, dims = arguments(node), list(walk.use(node, source(node)))
    follow(walk, node)
    place = arg["dim"] % len(dims)
    size, got, step = shape_of(source(node))[place], shape_of(node)[place], arg["step"]
    start, _, _ = slice(arg["start"], arg["end"], step).indices(size)
    if got == 0:
        dims[place] = atoms.new_dim(0, frozen="an empty stretch")
        return dims
    if step == 1:
        dims[place] = middle(walk, node, dims[place], start, start + got)[1]
        return dims
    if got == size:
        return dims
    if size % step or got != size // step:
        atoms.freeze(dims[place], walk.reason(node))
        dims[place] = atoms.new_dim(got, frozen=walk.reason(node))
        return dims
    outer, inner = (
        atoms.new_dim(size // step),
        atoms.new_dim(step, frozen=f"every {step}th is taken in {walk.where(node)}"),
    )
    walk.unify(node, dims[place], [*outer, *inner])
    dims[place] = outer
    return dims


def middle(walk: Walk, node: Node, dim: Dim, start: int, end: int) -> tuple[Dim | None, Dim, Dim | None]:
    """A dimension as (before, from start to end, after); None for an empty stretch."""
    size, before, after = atoms.length(dim), None, None
    if end <= start:
        raise Conflict
    try:
        if start > 0:
            before, dim = atoms.cut(dim, start)
        if end < size:
            dim, after = atoms.cut(dim, end - start)
    except Conflict:
        walk.clash(node, [d for d in (before, dim, after) if d])
        reason = f"{walk.reason(node)} does not line up"
        parts = [atoms.new_dim(n, frozen=reason) if n else None for n in (start, end - start, size - end)]
        return parts[0], parts[1] or [], parts[2]
    return before, dim, after


def split(walk: Walk, node: Node) -> tuple[Dims, ...]:
    """Stretches of given lengths."""
    arg, dims = arguments(node), list(walk.use(node, source(node)))
    place = arg["dim"] % len(dims)
    out, start, rest = [], 0, dims[place]
    total = atoms.length(rest)
    for part in node.meta["val"]:
        size = int(part.shape[place])
        if size == 0:
            out.append([*dims[:place], atoms.new_dim(0, frozen="an empty stretch"), *dims[place + 1 :]])
            continue
        _, stretch, after = middle(walk, node, rest, 0, size)
        start += size
        out.append([*dims[:place], stretch, *dims[place + 1 :]])
        if start < total:
            rest = after if after is not None else []
    return tuple(out)


def select(walk: Walk, node: Node) -> Dims:
    """One unit is picked by its number, so nobody may renumber them."""
    arg, dims = arguments(node), list(walk.use(node, source(node)))
    follow(walk, node)
    atoms.freeze(dims.pop(arg["dim"] % len(dims)), f"picked by number ({walk.reason(node)})")
    return dims


def unbind(walk: Walk, node: Node) -> tuple[Dims, ...]:
    """All units of a dimension one by one."""
    dims = list(walk.use(node, source(node)))
    place = arguments(node)["dim"] % len(dims)
    count = shape_of(source(node))[place]
    atoms.freeze(dims.pop(place), f"picked by number ({walk.reason(node)})")
    return tuple(list(dims) for _ in range(count))


def cat(walk: Walk, node: Node) -> Dims:
    """Stretches laid end to end in one dimension; the others agree."""
    arg = arguments(node)
    parts = [t for t in arg["tensors"] if math.prod(shape_of(t))] or list(arg["tensors"])
    dims = [list(walk.use(node, t)) for t in parts]
    place = arg["dim"] % len(dims[0])
    empty = [t for t in arg["tensors"] if t not in parts and len(shape_of(t)) == len(dims[0])]  # [0] fits anything
    without = [list(walk.use(node, t)) for t in empty]
    for other in without:
        atoms.freeze(other[place], "an empty stretch")
    for other in (*dims[1:], *without):
        for d, (a, b) in enumerate(zip(dims[0], other, strict=True)):
            if d != place:
                walk.unify(node, a, b)
    out = list(dims[0])
    out[place] = atoms.concat([d[place] for d in dims])
    return out


def stack(walk: Walk, node: Node) -> Dims:
    """A new dimension of numbered parts."""
    arg = arguments(node)
    dims = [list(walk.use(node, t)) for t in arg["tensors"]]
    for other in dims[1:]:
        for a, b in zip(dims[0], other, strict=True):
            walk.unify(node, a, b)
    out = list(dims[0])
    out.insert(arg["dim"] % (len(out) + 1), atoms.new_dim(len(dims), frozen=f"numbered by stack in {walk.where(node)}"))
    return out


def getitem(walk: Walk, node: Node) -> Result:
    """One output of several."""
    first, index = source(node), node.args[1]
    found = walk.dims.get(first)
    if not isinstance(found, tuple) or not isinstance(index, int):
        raise Conflict
    if (first, index) in walk.picks:
        walk.picks[node] = walk.picks[first, index]
    return found[index]


COPIES = ("clone", "alias", "detach", "_to_copy", "contiguous", "lift_fresh_copy", "lift_fresh", "to", "_conj")
SPLITS = (
    "split_with_sizes", "split", "unsafe_split", "unsafe_split_with_sizes", "split_with_sizes_copy", "split_copy",
    "chunk", "unsafe_chunk", "tensor_split",
)  # fmt: skip
"""Operators that give stretches of one dimension."""
UNBINDS = ("unbind", "unbind_copy")
RULES: dict[str, Rule] = {
    **dict.fromkeys(COPIES, same),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "_reshape_copy", "view_copy"), view),
    "permute": permute, "transpose": transpose, "t": transpose, "unsqueeze": unsqueeze, "squeeze": squeeze,
    "squeeze_copy": squeeze, "as_strided": as_strided, "expand": expand, "repeat": repeat, "slice": slice_,
    **dict.fromkeys(SPLITS, split), "select": select, **dict.fromkeys(UNBINDS, unbind), "cat": cat, "stack": stack,
    operator.getitem.__name__: getitem,
}  # fmt: skip
