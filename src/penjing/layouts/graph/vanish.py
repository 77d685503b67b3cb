"""Where a value is exactly zero once units are zero in every parameter, and so where cutting equals masking.

A contraction or a sum over an axis is the same after cutting as after masking only if one of its operands is zero
at the masked units. Where that cannot be shown, the axis is marked sensitive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.walk import Dims, Walk, arguments, op_name, shape_of
from penjing.layouts.rules.index import CONSTANTS
from penjing.layouts.rules.norms import REPLACED
from penjing.layouts.rules.shape import COPIES

Zeros = frozenset[Atom] | None  # None: zero everywhere, whatever is cut
NONE: Zeros = frozenset()

KEEP_ZERO = frozenset((
    "relu", "gelu", "silu", "tanh", "neg", "sqrt", "abs", "sign", "sgn", "sin", "sinh", "asin", "atan", "asinh", "erf",
    "expm1", "log1p", "leaky_relu", "elu", "celu", "hardswish", "mish", "relu6", "square", "round", "floor", "ceil",
    "trunc", "nan_to_num", "_prelu_kernel", "tan", "hardshrink", "softshrink", "real", "imag", "selu", "frac",
))  # fmt: skip
SHAPES = frozenset((
    *COPIES, "view", "reshape", "_unsafe_view", "_reshape_copy", "view_copy", "permute", "transpose", "t", "unsqueeze",
    "squeeze", "squeeze_copy", "as_strided", "expand", "repeat", "slice", "split_with_sizes", "select", "unbind",
    "getitem", "flip", "roll", "unfold", "tril", "triu", "cumsum", "sum", "mean", "linalg_vector_norm",
    "index_select", "gather", "index", "_unsafe_index", "embedding", "var", "std",
))  # fmt: skip
PADDED = frozenset(r for r in REPLACED if "reflection" in r or "replication" in r or "pool" in r or "upsample" in r)


class Vanishing:
    """The pass: `zeros` per node, filled in graph order."""

    def __init__(self, walk: Walk) -> None:
        """Start from a finished walk."""
        self.walk = walk
        self.zeros: dict[Node, Zeros] = {}
        self._sites = {site.node: site for site in walk.products}
        self._leaves: dict[Node, frozenset[Atom]] = {}

    def leaves(self, node: Node) -> frozenset[Atom]:
        """The leaves of a node's dimensions."""
        if node not in self._leaves:
            self._leaves[node] = frozenset(a for d in self.walk.all_dims(node) for a in atoms.leaves(d))
        return self._leaves[node]

    def start(self, node: Node, everywhere: bool) -> None:
        """A placeholder: a parameter vanishes on all its leaves, anything else on none."""
        self.zeros[node] = self.leaves(node) if everywhere else NONE

    def run(self, nodes: Sequence[Node]) -> None:
        """Fill in `zeros`, and mark the axes of contractions and sums that meet no zero."""
        for node in nodes:
            if node.op == "call_function" and node in self.walk.dims:
                found = self._step(node)
                self.zeros[node] = found if found is None else found & self.leaves(node)
        for site in self.walk.products:
            self._check_product(site.node, site.first, site.second, site.pairs)
        for total in self.walk.sums:
            dims = self.walk.all_dims(total.value)
            for place in total.places:
                self._check(total.node, atoms.leaves(dims[place]), [total.value])

    def _check_product(self, node: Node, x: Node, y: Node, pairs: Sequence[tuple[int, int]]) -> None:
        dims, others = self.walk.all_dims(x), self.walk.all_dims(y)
        for i, j in pairs:
            self._check(node, [*atoms.leaves(dims[i]), *atoms.leaves(others[j])], [x, y])
        groups = self.walk.groups.get(node)
        if groups:
            self._check(node, atoms.leaves(groups), [x, y])

    def _check(self, node: Node, over: Sequence[Atom] | object, operands: Sequence[Node]) -> None:
        for leaf in over:  # type: ignore[attr-defined]
            if not any(self._is_zero(v, leaf) for v in operands):
                atoms.mark_sensitive([leaf], f"{op_name(node)} in {self.walk.where(node)} meets no zero")

    def _is_zero(self, value: Node, leaf: Atom) -> bool:
        found = self.zeros.get(value, NONE)
        return found is None or leaf in found

    def _step(self, node: Node) -> Zeros:
        name = op_name(node)
        rule = RULES.get(name)
        if rule is not None:
            return rule(self, node)
        if name in SHAPES or name in KEEP_ZERO or name in PADDED:
            first = node.args[0]
            return self.zeros.get(first, NONE) if isinstance(first, Node) else NONE
        return NONE

    def meet(self, node: Node, sources: Sequence[Node]) -> Zeros:
        """Leaves on which all sources vanish at each place where the leaf occurs (sums, choices)."""
        real = [s for s in sources if self.zeros.get(s, NONE) is not None]
        if not real:
            return None
        return frozenset(a for a in self.leaves(node) if all(self._covers(node, s, a) for s in real))

    def join(self, node: Node, sources: Sequence[Node]) -> Zeros:
        """Leaves on which, at each place where the leaf occurs, some source vanishes (products)."""
        if any(self.zeros.get(s, NONE) is None for s in sources):
            return None
        dims = self.walk.all_dims(node)
        found = []
        for leaf in self.leaves(node):
            places = [len(dims) - i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
            if all(any(self._at(s, back, leaf) for s in sources) for back in places):
                found.append(leaf)
        return frozenset(found)

    def patchwork(self, node: Node, sources: Sequence[Node]) -> Zeros:
        """Leaves on which each source that has them, as it is used here, vanishes."""
        seen = {s: {a for d in self.walk.uses[node][s] for a in atoms.leaves(d)} for s in sources}
        return frozenset(a for a in self.leaves(node) if all(self._is_zero(s, a) or a not in seen[s] for s in sources))

    def _covers(self, node: Node, source: Node, leaf: Atom) -> bool:
        dims = self.walk.all_dims(node)
        places = [len(dims) - i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
        return all(self._at(source, back, leaf) for back in places)

    def _at(self, source: Node, back: int, leaf: Atom) -> bool:
        dims = self.walk.all_dims(source)
        return self._is_zero(source, leaf) and back <= len(dims) and leaf in set(atoms.leaves(dims[-back]))


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
    site = v._sites.get(node)
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
        if leaf in set(atoms.leaves(dim)) and not any(v._is_zero(n, leaf) and leaf in v.leaves(n) for n in nodes):
            return False
    return True


def _with_bias(v: Vanishing, node: Node, product: Zeros, bias: Node) -> Zeros:
    dims = v.walk.all_dims(node)

    def vanishes(leaf: Atom) -> bool:
        places = [len(dims) - i for i, d in enumerate(dims) if leaf in set(atoms.leaves(d))]
        return (product is None or leaf in product) and (
            v.zeros.get(bias, NONE) is None or all(v._at(bias, back, leaf) for back in places)
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
        channels = [a for a in channels if v._is_zero(bias, a) and a in v.leaves(bias)]
    found = {a for a in channels if v._is_zero(w, a) and a in v.leaves(w)}
    found |= {a for a in channels if a in group and v._is_zero(x, a)}
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
        own = all(i not in centred for i in places) and v._is_zero(x, leaf) and all(v._is_zero(s, leaf) for s in stored)
        weight, bias = arg.get("weight"), arg.get("bias")
        inside = all(i in over for i in places)
        by_weight = inside and isinstance(weight, Node) and v._is_zero(weight, leaf) and leaf in v.leaves(weight)
        no_bias = not isinstance(bias, Node) or (inside and v._is_zero(bias, leaf) and leaf in v.leaves(bias))
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
    "max": _largest, "min": _largest, "amax": _largest, "amin": _largest,
}  # fmt: skip
