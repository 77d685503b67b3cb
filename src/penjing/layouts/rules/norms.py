"""Rules for norms, reductions and whatever else looks along a whole dimension."""

from __future__ import annotations

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Dim
from penjing.layouts.graph.walk import Dims, Result, Rule, SumSite, Walk, arguments, has_several, op_name, shape_of


def layer_norm(walk: Walk, node: Node) -> Result:
    """The normalised dimensions are sensitive."""
    arg = arguments(node)
    dims = list(walk.use(node, arg["input"]))
    count = len(arg["normalized_shape"])
    for dim in dims[-count:]:
        atoms.mark_sensitive(dim, walk.reason(node))
    for name in ("weight", "bias"):
        if isinstance(arg.get(name), Node):
            for a, b in zip(dims[-count:], walk.use(node, arg[name]), strict=True):
                walk.unify(node, a, b)
    rest: Dims = [*dims[:-count], *([[]] * count)]
    return (dims, rest, rest)[: len(node.meta["val"])]


def rms_norm(walk: Walk, node: Node) -> Result:
    """As layer norm, where it is one operator."""
    found = layer_norm(walk, node) if isinstance(node.meta["val"], tuple) else None
    if found is not None:
        return found
    arg = arguments(node)
    dims, count = list(walk.use(node, arg["input"])), len(arg["normalized_shape"])
    for dim in dims[-count:]:
        atoms.mark_sensitive(dim, walk.reason(node))
    if isinstance(arg["weight"], Node):
        for a, b in zip(dims[-count:], walk.use(node, arg["weight"]), strict=True):
            walk.unify(node, a, b)
    return dims


def group_norm(walk: Walk, node: Node) -> Result:
    """Channels are `(groups rest)`: the rest is sensitive, whole groups are not."""
    arg = arguments(node)
    dims = list(walk.use(node, arg["input"]))
    group = atoms.new_dim(arg["group"])
    rest = atoms.new_dim(atoms.length(dims[1]) // arg["group"])
    walk.unify(node, dims[1], [*group, *rest])
    for dim in (rest, *dims[2:]):
        atoms.mark_sensitive(dim, walk.reason(node))
    for name in ("weight", "bias"):
        if isinstance(arg[name], Node):
            walk.unify(node, dims[1], walk.use(node, arg[name])[0])
    walk.groups[node] = group
    return dims, [dims[0], group], [dims[0], group]


def batch_norm(walk: Walk, node: Node) -> Result:
    """The vectors of a batch norm have one channel axis; with statistics of its own it is not sensitive."""
    arg = arguments(node)
    dims = list(walk.use(node, arg["input"]))
    stored = 0
    for name in ("weight", "bias", "running_mean", "running_var"):
        if isinstance(arg.get(name), Node):
            walk.unify(node, dims[1], walk.use(node, arg[name])[0])
            stored += name.startswith("running")
    if stored < 2 or arg.get("training"):
        for dim in (dims[0], *dims[2:]):
            atoms.mark_sensitive(dim, walk.reason(node))
    others = [[dims[1]] if value.numel() else [atoms.new_dim(0)] for value in node.meta["val"][1:]]
    return dims, *others


def _places(node: Node, rank: int, name: str = "dim") -> list[int]:
    given = arguments(node).get(name)
    if given is None or given == []:
        return list(range(rank))
    return sorted(d % max(rank, 1) for d in ([given] if isinstance(given, int) else given))


def _kept(node: Node, dims: Dims, places: list[int]) -> Dims:
    if arguments(node).get("keepdim"):
        return [[] if i in places else d for i, d in enumerate(dims)]
    return [d for i, d in enumerate(dims) if i not in places]


def _first(node: Node) -> Node:
    first = node.args[0]
    if not isinstance(first, Node):
        raise atoms.Conflict
    return first


def sensitive_reduction(walk: Walk, node: Node) -> Result:
    """A mean, a maximum and the like: what it runs over is sensitive."""
    dims = walk.use(node, _first(node))
    places = _places(node, len(dims))
    for place in places:
        atoms.mark_sensitive(dims[place], walk.reason(node))
    out = _kept(node, dims, places)
    if isinstance(node.meta["val"], list | tuple):
        if len(places) == 1 and op_name(node) in {"max", "min"}:
            walk.picks[node, 1] = dims[places[0]]
        return tuple(list(out) for _ in node.meta["val"])
    if op_name(node) in {"argmax", "argmin"} and len(places) == 1:
        walk.picks[node] = dims[places[0]]
    return out


def extremum(walk: Walk, node: Node) -> Result:
    """`max` and `min` over a dimension; between two tensors they are pointwise."""
    if isinstance(arguments(node).get("other"), Node):
        return pointwise(walk, node)
    return sensitive_reduction(walk, node)


def sum_(walk: Walk, node: Node) -> Dims:
    """A sum: harmless where masked units are zero, which the vanishing pass decides."""
    dims = walk.use(node, _first(node))
    places = _places(node, len(dims))
    walk.sums.append(SumSite(node, _first(node), tuple(places)))
    return _kept(node, dims, places)


def vector_norm(walk: Walk, node: Node) -> Result:
    """A norm of positive order is as harmless as a sum."""
    order = arguments(node).get("ord")
    if isinstance(order, int | float) and order > 0:
        return sum_(walk, node)
    return sensitive_reduction(walk, node)


def along(walk: Walk, node: Node) -> Dims:
    """Softmax: the same dimensions, the one it runs along sensitive."""
    dims = list(walk.use(node, _first(node)))
    if dims:
        atoms.mark_sensitive(dims[arguments(node)["dim"] % len(dims)], walk.reason(node))
    return dims


def topk(walk: Walk, node: Node) -> Result:
    """The chosen are numbered; their numbers pick units of the dimension chosen from."""
    arg = arguments(node)
    dims = list(walk.use(node, _first(node)))
    if not dims:
        return dims, list(dims)
    place = arg["dim"] % len(dims)
    atoms.mark_sensitive(dims[place], walk.reason(node))
    walk.picks[node, 1] = dims[place]
    walk.least.append((dims[place], arg["k"]))
    dims[place] = atoms.new_dim(arg["k"], frozen=f"chosen by {walk.reason(node)}")
    return dims, list(dims)


def ordered(walk: Walk, node: Node) -> Result:
    """Cumulative sums, flips, rolls, sorts: the order along a dimension matters, so it is frozen."""
    dims = list(walk.use(node, _first(node)))
    arg = arguments(node)
    name = "dims" if "dims" in arg else "dim"
    places = _places(node, len(dims), name) if name in arg else list(range(len(dims)))[-2:]
    for place in places:
        atoms.freeze(dims[place], walk.reason(node))
    if isinstance(node.meta["val"], list | tuple):
        return tuple(list(dims) for _ in node.meta["val"])
    return dims


def replaced(walk: Walk, node: Node) -> Result:
    """Padding, pooling, resizing: dimensions whose length may change are frozen, the others pass."""
    dims = list(walk.use(node, _first(node)))
    new = shape_of(node) if not isinstance(node.meta["val"], list | tuple) else tuple(node.meta["val"][0].shape)
    for place in _spatial(node, len(dims)):
        reason = walk.reason(node)
        atoms.freeze(dims[place], reason)
        made: Dim = atoms.new_dim(new[place], frozen=reason)
        for atom in made:
            atom.tokens = any(leaf.tokens for leaf in atoms.leaves(dims[place]))
        dims[place] = made
    if isinstance(node.meta["val"], list | tuple):
        return tuple(list(dims) for _ in node.meta["val"])
    return dims


def _spatial(node: Node, rank: int) -> list[int]:
    name = op_name(node)
    if "pad" in name and "pool" not in name:
        pad = list(arguments(node).get("pad") or arguments(node).get("padding") or [])
        pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
        return sorted(rank - 1 - i for i, p in enumerate(pairs) if any(p))
    count = next(
        (n for n in (1, 2, 3) if f"{n}d" in name), {"linear": 1, "bilinear": 2, "trilinear": 3}.get(name, rank)
    )
    return list(range(rank - count, rank))


def unfold(walk: Walk, node: Node) -> Dims:
    """Windows along a dimension."""
    dims, arg, new = list(walk.use(node, _first(node))), arguments(node), shape_of(node)
    place = arg["dimension"] % max(len(dims), 1)
    atoms.freeze(dims[place], walk.reason(node))
    dims[place] = atoms.new_dim(new[place], frozen=walk.reason(node))
    return [*dims, atoms.new_dim(new[-1], frozen=walk.reason(node))]


def pointwise(walk: Walk, node: Node) -> Result:
    """Aligned from the right; size one is skipped, the rest agrees. Of several outputs each is as long."""
    several = has_several(node)
    rank = len(node.meta["val"][0].shape if several else shape_of(node))
    out: Dims = [[] for _ in range(rank)]
    for source in node.all_input_nodes:
        for back, dim in enumerate(reversed(walk.use(node, source)), 1):
            if not dim:
                continue
            if out[-back]:
                walk.unify(node, out[-back], dim)
            out[-back] = atoms.normal(out[-back] or dim)
    for source in node.all_input_nodes:
        if source in walk.picks and len(node.all_input_nodes) == 1 and op_name(node) in {"remainder", "clamp"}:
            walk.picks[node] = walk.picks[source]
    return tuple(list(out) for _ in node.meta["val"]) if several else out


REDUCTIONS = (
    "mean", "var", "std", "var_mean", "std_mean", "amax", "amin", "argmax", "argmin", "any", "all", "logsumexp", "prod",
    "median", "nanmedian", "aminmax", "kthvalue", "mode",
)  # fmt: skip
ORDERED = (
    "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "flip", "roll", "sort", "argsort", "tril", "triu",
)  # fmt: skip
REPLACED = (
    "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
    "max_pool1d", "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact2d",
    "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
)  # fmt: skip
POINTWISE = (
    "pointwise", "where", "pow", "gelu", "clamp", "hardtanh", "masked_fill", "hardswish", "hardsigmoid", "leaky_relu",
    "elu", "softplus", "silu", "mish", "logit", "fmod", "remainder", "threshold", "nan_to_num", "isin", "celu",
    "_prelu_kernel",
)  # fmt: skip
RULES: dict[str, Rule] = {
    "native_layer_norm": layer_norm, "_fused_rms_norm": rms_norm, "rms_norm": rms_norm, "native_group_norm": group_norm,
    **dict.fromkeys(
        ("_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "native_batch_norm", "cudnn_batch_norm"),
        batch_norm,
    ),
    **dict.fromkeys(REDUCTIONS, sensitive_reduction), "max": extremum, "min": extremum,
    "sum": sum_, "linalg_vector_norm": vector_norm, "_softmax": along, "_log_softmax": along, "softmax": along,
    "log_softmax": along, "topk": topk, **dict.fromkeys(ORDERED, ordered),
    **dict.fromkeys(REPLACED, replaced), "unfold": unfold, **dict.fromkeys(POINTWISE, pointwise),
}  # fmt: skip
