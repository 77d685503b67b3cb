"""What each operator leaves zero: the units on which its result is zero when they are zero in what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.walk import Dims, arguments, op_name, shape_of
from penjing.layouts.rules.index import CONSTANTS
from penjing.layouts.rules.norms import REPLACED
from penjing.layouts.rules.shape import COPIES, SPLITS, UNBINDS

if TYPE_CHECKING:
    from penjing.layouts.graph.vanish import Vanishing

Zeros = frozenset[Atom] | None  # None: zero everywhere, whatever is cut
NONE: Zeros = frozenset()

KEEP_ZERO = frozenset((
    "relu", "gelu", "silu", "tanh", "neg", "sqrt", "abs", "sign", "sgn", "sin", "sinh", "asin", "atan", "asinh", "erf",
    "expm1", "log1p", "leaky_relu", "elu", "celu", "hardswish", "mish", "relu6", "square", "round", "floor", "ceil",
    "trunc", "nan_to_num", "_prelu_kernel", "tan", "hardshrink", "softshrink", "real", "imag", "selu", "frac",
))  # fmt: skip
SHAPES = frozenset((
    *COPIES, "view", "reshape", "_unsafe_view", "_reshape_copy", "view_copy", "permute", "transpose", "t", "unsqueeze",
    "squeeze", "squeeze_copy", "as_strided", "expand", "repeat", "slice", *SPLITS, "select", *UNBINDS, "flip", "roll",
    "unfold", "tril", "triu", "cumsum", "sum", "mean", "linalg_vector_norm",
    "index_select", "gather", "index", "_unsafe_index", "embedding", "_embedding_bag", "_embedding_bag_forward_only",
    "var", "std",
))  # fmt: skip
PADDED = frozenset(r for r in REPLACED if "reflection" in r or "replication" in r or "pool" in r or "upsample" in r)


def _product(v: Vanishing, node: Node) -> Zeros:
    return v.join(node, node.all_input_nodes)


def _quotient(v: Vanishing, node: Node) -> Zeros:
    first = node.args[0]
    return v.join(node, [first]) if isinstance(first, Node) else NONE


def _addition(v: Vanishing, node: Node) -> Zeros:
    """Sums, and choices between two: both must vanish."""
    arg = arguments(node)
    sources = [arg.get("self"), arg.get("other")]
    if any(not isinstance(s, Node) and s != 0 for s in sources):
        return NONE
    return v.meet(node, [s for s in sources if isinstance(s, Node)])


def _masked_fill(v: Vanishing, node: Node) -> Zeros:
    arg = arguments(node)
    if isinstance(arg["value"], Node):
        return v.meet(node, [arg["self"], arg["value"]])
    return v.meet(node, [arg["self"]]) if arg["value"] == 0 else NONE


def _clamp(v: Vanishing, node: Node) -> Zeros:
    arg = arguments(node)
    low, high = arg.get("min", arg.get("min_val")), arg.get("max", arg.get("max_val"))
    if isinstance(low, Node) or isinstance(high, Node):
        return NONE
    inside = (low is None or low <= 0) and (high is None or high >= 0)
    return v.meet(node, [arg["self"]]) if inside else NONE


def _power(v: Vanishing, node: Node) -> Zeros:
    base, exponent = node.args[0], node.args[1]
    if isinstance(base, Node) and isinstance(exponent, int | float) and exponent > 0:
        return v.zeros.get(base, NONE)
    return NONE


def _matrix(v: Vanishing, node: Node) -> Zeros:
    """Each place of the result belongs to one operand (or, batched, to both)."""
    site = v.sites.get(node)
    if site is None:
        return NONE
    x, y = site.first, site.second
    if v.zeros.get(x, NONE) is None or v.zeros.get(y, NONE) is None:
        product: Zeros = None
    else:
        xd, yd = v.walk.all_dims(x), v.walk.all_dims(y)
        i, j = site.pairs[0]
        batch = len(xd) == 3
        owners: list[tuple[Dim, list[Node]]] = [(xd[0], [x, y])] if batch else []
        owners += [(d, [x]) for k, d in enumerate(xd) if k != i and not (batch and k == 0)]
        owners += [(d, [y]) for k, d in enumerate(yd) if k != j and not (batch and k == 0)]
        product = frozenset(a for a in v.leaves(node) if _owned(v, a, owners, node))
    bias = arguments(node).get("self") if op_name(node) in {"addmm", "baddbmm"} else None
    if not isinstance(bias, Node):
        return product
    return _with_bias(v, node, product, bias)


def _owned(v: Vanishing, leaf: Atom, owners: Sequence[tuple[Dim, list[Node]]], node: Node) -> bool:
    dims = v.walk.all_dims(node)
    for dim, (_, nodes) in zip(dims, owners, strict=True):
        if leaf in set(atoms.leaves(dim)) and not any(v.is_zero(n, leaf) and leaf in v.leaves(n) for n in nodes):
            return False
    return True


def _with_bias(v: Vanishing, node: Node, product: Zeros, bias: Node) -> Zeros:
    dims = v.walk.all_dims(node)

    def vanishes(leaf: Atom) -> bool:
        places = [len(dims) - i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
        return (product is None or leaf in product) and (
            v.zeros.get(bias, NONE) is None or all(v.at(bias, back, leaf) for back in places)
        )

    return frozenset(a for a in v.leaves(node) if vanishes(a))


def _convolution(v: Vanishing, node: Node) -> Zeros:
    """Out channels vanish with the weight's (and the bias); groups with either operand."""
    arg = arguments(node)
    x, w, bias = arg["input"], arg["weight"], arg["bias"]
    out: Dims = v.walk.all_dims(node)
    group = set(atoms.leaves(v.walk.groups.get(node, [])))
    batch = set(atoms.leaves(out[0]))
    channels = list(atoms.leaves(out[1]))
    if isinstance(bias, Node):
        channels = [a for a in channels if v.is_zero(bias, a) and a in v.leaves(bias)]
    found = {a for a in channels if v.is_zero(w, a) and a in v.leaves(w)}
    found |= {a for a in channels if a in group and v.is_zero(x, a)}
    return frozenset(found - batch - {a for d in out[2:] for a in atoms.leaves(d)})


def _cat(v: Vanishing, node: Node) -> Zeros:
    tensors = [t for t in arguments(node)["tensors"] if t in v.walk.uses[node]]
    if all(v.zeros.get(t, NONE) is None for t in tensors):
        return None
    return v.patchwork(node, tensors)


def _affine(v: Vanishing, node: Node) -> Zeros:
    """(x or weight) and bias, place by place; a mean over a dimension leaves nothing zero in it but by the weight."""
    arg = arguments(node)
    x, dims = arg["input"], v.walk.all_dims(node)[: len(shape_of(arg["input"]))]
    name = op_name(node)
    over = set(range(len(dims) - len(arg["normalized_shape"]), len(dims))) if "normalized_shape" in arg else {1}
    centred = over if name == "native_layer_norm" else set()
    stored = [arg[n] for n in ("running_mean",) if isinstance(arg.get(n), Node)]
    found = []
    for leaf in v.leaves(node):
        places = [i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
        own = all(i not in centred for i in places) and v.is_zero(x, leaf) and all(v.is_zero(s, leaf) for s in stored)
        weight, bias = arg.get("weight"), arg.get("bias")
        inside = all(i in over for i in places)
        by_weight = inside and isinstance(weight, Node) and v.is_zero(weight, leaf) and leaf in v.leaves(weight)
        no_bias = not isinstance(bias, Node) or (inside and v.is_zero(bias, leaf) and leaf in v.leaves(bias))
        if places and (own or by_weight) and no_bias:
            found.append(leaf)
    return frozenset(found)


def _constant(v: Vanishing, node: Node) -> Zeros:
    name = op_name(node)
    if "zeros" in name or "empty" in name:
        return None
    arg = arguments(node)
    return None if arg.get("fill_value", arg.get("s")) == 0 else NONE


def _written(v: Vanishing, node: Node) -> Zeros:
    arg = arguments(node)
    if op_name(node) == "copy":
        return v.join(node, [arg["src"]]) if v.zeros.get(arg["src"], NONE) is not None else None
    sources = [arg["self"], arg["src"]]
    if all(v.zeros.get(s, NONE) is None for s in sources):
        return None
    return v.patchwork(node, sources)


def _pad(v: Vanishing, node: Node) -> Zeros:
    if arguments(node).get("value"):
        return NONE
    return v.zeros.get(node.args[0], NONE) if isinstance(node.args[0], Node) else NONE


def _part(v: Vanishing, node: Node) -> Zeros:
    """One output of several: a further one, such as the places of the largest, need not be zero where the first is."""
    first, index = node.args[0], node.args[1]
    if not isinstance(first, Node) or (index != 0 and op_name(first) not in {*SPLITS, *UNBINDS}):
        return NONE
    return v.zeros.get(first, NONE)


def _largest(v: Vanishing, node: Node) -> Zeros:
    if isinstance(arguments(node).get("other"), Node):
        return v.meet(node, [arguments(node)["self"], arguments(node)["other"]])
    return v.zeros.get(node.args[0], NONE) if isinstance(node.args[0], Node) else NONE


RULES: dict[str, Callable[[Vanishing, Node], Zeros]] = {
    "mul": _product, "logical_and": _product, "bitwise_and": _product, "div": _quotient, "atan2": _quotient,
    "add": _addition, "sub": _addition, "maximum": _addition, "minimum": _addition, "where": _addition,
    "masked_fill": _masked_fill, "clamp": _clamp, "hardtanh": _clamp, "clamp_min": _clamp, "clamp_max": _clamp,
    "pow": _power, "mm": _matrix, "bmm": _matrix, "addmm": _matrix, "baddbmm": _matrix, "convolution": _convolution,
    "cat": _cat, "stack": _cat, "native_layer_norm": _affine, "native_group_norm": _affine,
    **dict.fromkeys(
        ("_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "native_batch_norm"), _affine
    ),
    **dict.fromkeys((*CONSTANTS, "full_like", "zeros_like", "ones_like", "empty_like", "scalar_tensor"), _constant),
    "copy": _written, "slice_scatter": _written, "select_scatter": _written, "constant_pad_nd": _pad,
    "getitem": _part, "max": _largest, "min": _largest, "amax": _largest, "amin": _largest,
}  # fmt: skip
