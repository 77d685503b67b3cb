"""Norm sites over an axis, the parameters that read them, and the parameters that write the residual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from torch.fx import Node

from penjing.core import Norm, Writer
from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.walk import ProductSite, arguments, is_assertion, op_name
from penjing.layouts.rules.shape import COPIES

if TYPE_CHECKING:
    from penjing.layouts.graph.infer import Inference

NORMS: dict[str, Literal["layer", "rms", "group", "batch"]] = {
    "native_layer_norm": "layer", "_fused_rms_norm": "rms", "native_group_norm": "group",
    "_native_batch_norm_legit_no_training": "batch", "_native_batch_norm_legit": "batch", "native_batch_norm": "batch",
}  # fmt: skip
MOVES = frozenset((
    *COPIES, "view", "reshape", "_unsafe_view", "permute", "transpose", "t", "unsqueeze", "squeeze", "expand", "roll",
    "select", "slice",
))  # fmt: skip


@dataclass(frozen=True)
class _Site:
    """A norm in the graph: what is known of it, the leaf that it runs over, and its nodes."""

    norm: Norm
    leaf: Atom
    nodes: tuple[Node, ...]


def norms_of(inference: Inference) -> tuple[Norm, ...]:
    """Every norm whose length is one axis, in graph order, each module once."""
    found: dict[tuple[str, str], Norm] = {}
    for site in _sites(inference):
        norm = site.norm
        key = (norm.module, norm.weight)
        found[key] = norm if key not in found else _both(found[key], norm)
    return tuple(_foldable(inference, norm) for norm in found.values())


def norm_nodes(inference: Inference) -> set[tuple[Node, Atom]]:
    """(node, leaf) of every node that takes part in a norm over the leaf that no rotation of it changes."""
    return {(n, site.leaf) for site in _sites(inference) if site.norm.kind in {"layer", "rms"} for n in site.nodes}


def _sites(inference: Inference) -> Iterator[_Site]:
    for node in inference.nodes:
        if node.op != "call_function" or node not in inference.walk.dims:
            continue
        site = None
        if op_name(node) in NORMS:
            site = _operator_site(inference, node)
        elif op_name(node) == "mean":
            site = _mean_site(inference, node)
        if site is not None:
            yield site


def _foldable(inference: Inference, norm: Norm) -> Norm:
    shared = {r: own for r in norm.readers if (own := _elsewhere(inference, norm, r)) is not None}
    return replace(norm, shared=shared, foldable=norm.alone and not shared)


def _elsewhere(inference: Inference, norm: Norm, reader: str) -> str | None:
    """None if every use of a reader follows this very norm; else its other name, if it has one in this use."""
    tensor, tied = inference.provenance.tensor, inference.traced.tied
    own, apart = "", False
    for node in inference.nodes:
        operands = [s for s in node.all_input_nodes if tensor.get(s) == reader]
        if not operands or node in tensor:
            continue
        other = next((s for s in node.all_input_nodes if s not in tensor and s in inference.walk.dims), None)
        if op_name(node) == "embedding" or other is None or not _comes_from(inference, node, norm):
            apart = True
        else:
            module = inference.walk.module(node)
            names = [reader, *(a for a, kept in tied.items() if kept == reader)]
            own = next((n for n in names if n.rpartition(".")[0] == module), own)
    return own if apart else None


def _comes_from(inference: Inference, node: Node, norm: Norm) -> bool:
    """Whether the other operands of a product lead back, through changes of shape, to the norm's module."""
    rest = [s for s in node.all_input_nodes if s not in inference.provenance.tensor]
    while rest:
        source = rest.pop()
        if inference.walk.module(source) == norm.module:
            return True
        if op_name(source) in MOVES or _by_a_number(source):
            rest.extend(source.all_input_nodes)
    return False


def _both(one: Norm, two: Norm) -> Norm:
    """One norm called twice: all its readers, foldable if both times."""
    readers = tuple(dict.fromkeys([*one.readers, *two.readers]))
    return Norm(
        module=one.module, kind=one.kind, axis=one.axis, weight=one.weight, bias=one.bias, readers=readers,
        alone=one.alone and two.alone and one.readers == two.readers, offset=one.offset,
        biases={r: b for r, b in one.biases.items() if two.biases.get(r) == b},
    )  # fmt: skip


def _axis(inference: Inference, dim: Dim) -> Atom | None:
    leaves = list(atoms.leaves(dim))
    return leaves[0] if len(leaves) == 1 and leaves[0] in inference.names else None


def _operator_site(inference: Inference, node: Node) -> _Site | None:
    arg, dims = arguments(node), inference.walk.all_dims(node)
    rank = len(arg["input"].meta["val"].shape)
    kind = NORMS[op_name(node)]
    leaf = _axis(inference, dims[rank - 1] if "normalized_shape" in arg else dims[1])
    if leaf is None or len(arg.get("normalized_shape") or [1]) > 1:
        return None
    output = node
    if isinstance(node.meta["val"], list | tuple):
        output = next((u for u in node.users if op_name(u) == "getitem" and u.args[1] == 0), node)
    tensor = inference.provenance.tensor
    weight, bias = (tensor.get(arg[n], "") if isinstance(arg.get(n), Node) else "" for n in ("weight", "bias"))
    readers, only = _readers(inference, output, leaf)
    norm = Norm(
        module=inference.walk.module(node), kind=kind, axis=inference.names[leaf], weight=weight, bias=bias,
        readers=tuple(readers), biases={r: b for r, b in readers.items() if b},
        alone=only and bool(readers) and kind in {"layer", "rms"},
    )  # fmt: skip
    return _Site(norm, leaf, (node, output))


def _mean_site(inference: Inference, node: Node) -> _Site | None:
    """A module that divides by the root of a mean of squares."""
    walk, source = inference.walk, node.args[0]
    if not isinstance(source, Node) or op_name(source) not in {"pow", "mul", "square"}:
        return None
    dims = walk.all_dims(source)
    places = arguments(node).get("dim") or []
    leaf = _axis(inference, dims[places[0]]) if len(places) == 1 else None
    if leaf is None or not leaf.sensitive:
        return None
    inside = _stretch(inference, node)
    weight, offset = _gain(inference, inside)
    bare = not any(_touches_parameter(inference, n) for n in inside)
    if any(n in {s.node for s in walk.products} for n in inside):
        return _Site(Norm(module=walk.module(node), kind="other", axis=inference.names[leaf]), leaf, ())
    readers, only = _readers(inference, inside[-1], leaf)
    gain = weight or next((t for n in inside for t in _parameters(inference, n)), "")
    norm = Norm(
        module=walk.module(node), kind="rms", axis=inference.names[leaf], weight=gain, readers=tuple(readers),
        alone=only and bool(readers) and (bool(weight) or bare), offset=offset,
    )  # fmt: skip
    return _Site(norm, leaf, (source, *inside))


def _gain(inference: Inference, inside: Sequence[Node]) -> tuple[str, float]:
    """(the parameter that a norm multiplies by, what it adds to it before); no name if there is none, or several."""
    raw = inference.provenance.raw
    shifted = {
        n: float(n.args[1])
        for n in inside
        if op_name(n) == "add" and n.args[0] in raw and isinstance(n.args[1], int | float)
    }
    gains = [s for n in inside if op_name(n) == "mul" for s in n.all_input_nodes if s in raw or s in shifted]
    if len(gains) != 1:
        return "", 0.0
    first = gains[0].all_input_nodes[0] if gains[0] in shifted else gains[0]
    return inference.provenance.tensor.get(first, ""), shifted.get(gains[0], 0.0)


def _parameters(inference: Inference, node: Node) -> list[str]:
    return [inference.provenance.tensor[s] for s in node.all_input_nodes if s in inference.provenance.raw]


def _touches_parameter(inference: Inference, node: Node) -> bool:
    return bool(_parameters(inference, node))


def _stretch(inference: Inference, node: Node) -> list[Node]:
    """The nodes of the module call in which a node lies: those after it (and the one before) in graph order."""
    module = inference.walk.module(node)
    nodes = inference.nodes
    place = nodes.index(node)
    end = place
    while (
        end + 1 < len(nodes)
        and nodes[end + 1].op == "call_function"
        and inference.walk.module(nodes[end + 1]) == module
    ):
        end += 1
    inside = [n for n in nodes[place : end + 1] if not is_assertion(n)]
    return inside or [node]


def _readers(inference: Inference, output: Node, leaf: Atom) -> tuple[dict[str, str], bool]:
    """The parameters whose products sum over `leaf` of a value, with their biases; whether nothing else uses it."""
    sites = {site.node: site for site in inference.walk.products}
    tensor = inference.provenance.tensor
    found: dict[str, str] = {}
    only, rest = True, [output]
    while rest:
        node = rest.pop(0)
        for user in node.users:
            if is_assertion(user):
                continue
            site = sites.get(user)
            if op_name(user) in MOVES or _by_a_number(user):
                rest.append(user)
            elif site is not None and node in (site.first, site.second):
                other = site.second if node is site.first else site.first
                place = site.pairs[0][0] if node is site.first else site.pairs[0][1]
                if site.groups or any(arguments(user).get("padding") or []):
                    only = False
                if other in tensor and leaf in set(atoms.leaves(inference.walk.all_dims(node)[place])):
                    bias = _bias(inference, site)
                    found[tensor[other]] = bias if found.get(tensor[other], bias) == bias else ""
                else:
                    only = False
            else:
                only = False
    return found, only


def _bias(inference: Inference, site: ProductSite) -> str:
    """The parameter that is added to a product and to nothing else, or an empty text."""
    tensor, node = inference.provenance.tensor, site.node
    given = [s for s in node.all_input_nodes if s not in (site.first, site.second)]
    while not given:
        users = [u for u in node.users if not is_assertion(u)]
        if len(users) != 1 or op_name(users[0]) not in {*MOVES, "add"}:
            return ""
        node, before = users[0], node
        given = [s for s in node.all_input_nodes if s is not before] if op_name(node) == "add" else []
        if op_name(node) == "add" and not given:
            return ""
    name = tensor.get(given[0], "")
    uses = [u for n in inference.nodes if tensor.get(n) == name for u in n.users if u not in tensor]
    return name if name and len(uses) == 1 else ""


def _by_a_number(node: Node) -> bool:
    return op_name(node) in {"mul", "div"} and len(node.all_input_nodes) == 1 and isinstance(node.args[1], int | float)


def writers_of(inference: Inference) -> tuple[Writer, ...]:
    """The parameters whose products (or looked-up rows) end in a residual axis."""
    tensor = inference.provenance.tensor
    found: dict[tuple[str, str], Literal["plain", "norm", "scale"]] = {}
    made: list[tuple[Node, Node]] = [(s.node, o) for s in inference.walk.products for o in (s.first, s.second)]
    made += [(n, n.args[0]) for n in inference.nodes if op_name(n) == "embedding" and isinstance(n.args[0], Node)]
    order = {node: i for i, node in enumerate(inference.nodes)}
    for node, operand in sorted(made, key=lambda pair: order[pair[0]]):
        if operand not in tensor or node not in inference.walk.dims:
            continue
        own = {a for d in inference.walk.all_dims(operand) for a in atoms.leaves(d)}
        for dim in inference.walk.all_dims(node):
            leaf = _axis(inference, dim)
            if leaf is None or leaf not in own or not inference.names[leaf].startswith("residual"):
                continue
            key = (tensor[operand], inference.names[leaf])
            through = _through(inference, node)
            found[key] = through if found.get(key, "plain") == "plain" else found[key]
    return tuple(Writer(tensor=t, axis=a, through=h) for (t, a), h in found.items())


def _through(inference: Inference, node: Node) -> Literal["plain", "norm", "scale"]:
    """What a written value meets first on its way into the residual."""
    met: list[str] = []
    rest = [node]
    while rest:
        current = rest.pop(0)
        for user in current.users:
            if is_assertion(user):
                continue
            if op_name(user) in MOVES:
                rest.append(user)
            else:
                met.append(op_name(user))
    if "add" in met or "cat" in met or not met:
        return "plain"
    if any(m in NORMS or m in {"pow", "mean"} for m in met):
        return "norm"
    return "scale" if "mul" in met else "plain"
