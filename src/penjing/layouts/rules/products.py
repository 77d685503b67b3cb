"""Rules for products that sum: matrix products and convolutions."""

from __future__ import annotations

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Dim
from penjing.layouts.graph.walk import Dims, ProductSite, Rule, Walk, arguments, shape_of


def mm(walk: Walk, node: Node) -> Dims:
    """`[m k] [k n] -> [m n]`."""
    arg = arguments(node)
    x, y = arg["self"], arg["mat2"]
    return _matrix(walk, node, x, y)


def addmm(walk: Walk, node: Node) -> Dims:
    """`mm` plus a bias."""
    arg = arguments(node)
    out = _matrix(walk, node, arg["mat1"], arg["mat2"])
    return _add_bias(walk, node, out, arg["self"])


def _matrix(walk: Walk, node: Node, x: Node, y: Node) -> Dims:
    (m, k), (k2, n) = walk.use(node, x), walk.use(node, y)
    walk.unify(node, k, k2)
    walk.products.append(ProductSite(node, x, y, ((1, 0),), (m, k, n)))
    return [m, n]


def bmm(walk: Walk, node: Node) -> Dims:
    """`[b m k] [b k n] -> [b m n]`."""
    arg = arguments(node)
    return _batched(walk, node, arg["self"], arg["mat2"])


def baddbmm(walk: Walk, node: Node) -> Dims:
    """`bmm` plus a bias."""
    arg = arguments(node)
    out = _batched(walk, node, arg["batch1"], arg["batch2"])
    return _add_bias(walk, node, out, arg["self"])


def _batched(walk: Walk, node: Node, x: Node, y: Node) -> Dims:
    (b, m, k), (b2, k2, n) = walk.use(node, x), walk.use(node, y)
    walk.unify(node, b, b2)
    walk.unify(node, k, k2)
    walk.products.append(ProductSite(node, x, y, ((2, 1),), (b, m, k, n)))
    return [b, m, n]


def _add_bias(walk: Walk, node: Node, out: Dims, bias: Node) -> Dims:
    for a, b in zip(reversed(out), reversed(walk.use(node, bias)), strict=False):
        if a and b:
            walk.unify(node, a, b)
    return out


def mv(walk: Walk, node: Node) -> Dims:
    """`[m k] [k] -> [m]`."""
    arg = arguments(node)
    x, y = arg["self"], arg["vec"]
    (m, k), (k2,) = walk.use(node, x), walk.use(node, y)
    walk.unify(node, k, k2)
    walk.products.append(ProductSite(node, x, y, ((1, 0),), (m, k)))
    return [m]


def dot(walk: Walk, node: Node) -> Dims:
    """`[k] [k] -> []`."""
    x, y = node.args[0], node.args[1]
    if not isinstance(x, Node) or not isinstance(y, Node):
        raise atoms.Conflict
    (k,), (k2,) = walk.use(node, x), walk.use(node, y)
    walk.unify(node, k, k2)
    walk.products.append(ProductSite(node, x, y, ((0, 0),), (k,)))
    return []


def convolution(walk: Walk, node: Node) -> Dims:
    """Channels are contracted, group by group; the kernel and what it strides over are frozen."""
    arg = arguments(node)
    x, w, groups = arg["input"], arg["weight"], arg["groups"]
    ins, weight = walk.use(node, x), walk.use(node, w)
    reason = f"positions of the kernel in {walk.where(node)}"
    for dim in weight[2:]:
        atoms.freeze(dim, reason)
    space = _space(walk, node, ins[2:], shape_of(node)[2:], shape_of(w)[2:])
    into, made = (0, 1) if arg["transposed"] else (1, 0)
    group: Dim = []
    if groups == 1:
        walk.unify(node, ins[1], weight[into])
        out = weight[made]
    else:
        group = atoms.new_dim(groups)
        first = weight[0]
        rest = atoms.new_dim(atoms.length(first) // groups)
        walk.unify(node, first, [*group, *rest])
        grouped = atoms.normal([*group, *weight[1]])
        if arg["transposed"]:
            walk.unify(node, ins[1], first)
            out = grouped
        else:
            walk.unify(node, ins[1], grouped)
            out = first
        walk.groups[node] = group
    if isinstance(arg["bias"], Node):
        walk.unify(node, out, walk.use(node, arg["bias"])[0])
    over = (ins[0], *weight, *(ins[2:] if arg["transposed"] else space))
    walk.products.append(ProductSite(node, x, w, ((1, into),), over, group))
    return [ins[0], out, *space]


def _space(walk: Walk, node: Node, dims: Dims, new: tuple[int, ...], kernel: tuple[int, ...]) -> Dims:
    out: Dims = []
    reason = f"positions in {walk.where(node)}"
    for dim, size, width in zip(dims, new, kernel, strict=True):
        atoms.freeze(dim, reason)
        if width == 1 and atoms.length(dim) == size:
            out.append(dim)
            continue
        made = atoms.new_dim(size, frozen=reason)
        for atom in made:
            atom.tokens = any(leaf.tokens for leaf in atoms.leaves(dim))
        out.append(made)
    return out


RULES: dict[str, Rule] = {
    "mm": mm, "addmm": addmm, "bmm": bmm, "baddbmm": baddbmm, "mv": mv, "dot": dot, "vdot": dot,
    "convolution": convolution,
}  # fmt: skip
