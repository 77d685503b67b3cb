"""Which axes may be rotated: those whose values meet nothing but sums, products with parameters, and norms.

A rotation of the residual stream leaves a model's function alone if every value along it is used linearly, or by a
norm whose length no rotation changes. Whatever is not known to be so makes the axis rigid, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.norms import norm_nodes
from penjing.layouts.graph.walk import ProductSite, is_assertion, op_name
from penjing.layouts.rules import shape

if TYPE_CHECKING:
    from penjing.layouts.graph.infer import Inference

LOOKS_UP = frozenset({"embedding", "index", "_unsafe_index", "index_select"})


def rigid_axes(inference: Inference) -> dict[Atom, str]:
    """Each leaf that a rotation would make compute something else -> the operator that it meets, and where."""
    sites = {site.node: site for site in inference.walk.products}
    inside = norm_nodes(inference)
    out: dict[Atom, str] = {}
    for node in inference.nodes:
        if node.op != "call_function" or node not in inference.walk.dims or is_assertion(node):
            continue
        for leaf in _carried(inference, node):
            if leaf not in out and (node, leaf) not in inside and not _linear(inference, node, leaf, sites.get(node)):
                out[leaf] = inference.walk.reason(node)
    return out


def _carried(inference: Inference, node: Node) -> set[Atom]:
    """The named leaves in what a node takes and gives."""
    found = {a for d in inference.walk.all_dims(node) for a in atoms.leaves(d)}
    for source in node.all_input_nodes:
        found |= _leaves(inference, node, source)
    return found & inference.names.keys()


def _leaves(inference: Inference, user: Node, source: Node) -> set[Atom]:
    seen = inference.walk.uses.get(user, {}).get(source) or inference.walk.all_dims(source)
    return {a for d in seen for a in atoms.leaves(d)}


def _linear(inference: Inference, node: Node, leaf: Atom, site: ProductSite | None) -> bool:
    """Whether a node's result along a leaf is linear in its arguments along it, and takes no unit for itself."""
    name, sources = op_name(node), node.all_input_nodes
    if site is not None:
        return _product(inference, node, leaf, site)
    carrying = [leaf in _leaves(inference, node, s) for s in sources]
    if name in shape.RULES:
        return any(carrying)
    if len(sources) < sum(isinstance(a, Node) for a in node.args):  # x * x, x + x: the first is not linear
        return False
    if name in {"add", "sub", "neg"}:  # what is the same for every unit, such as a number, does not turn along
        return all(_own(inference, s, leaf) for s in sources) and not any(isinstance(a, int | float) for a in node.args)
    if name == "mul":
        return sum(carrying) == 1
    if name in LOOKS_UP or name == "div":
        return carrying[0] and not any(carrying[1:])
    return name in {"mean", "sum"} and _own(inference, node, leaf)


def _product(inference: Inference, node: Node, leaf: Atom, site: ProductSite) -> bool:
    """A product may read the leaf through a parameter, write it, or carry it along; it may not run beside it."""
    first, second = (_places(inference, node, s, leaf) for s in (site.first, site.second))
    others = [s for s in node.all_input_nodes if s not in (site.first, site.second)]
    if leaf in set(atoms.leaves(site.groups)):
        return False
    if _own(inference, node, leaf) and not all(_own(inference, s, leaf) for s in others):
        return False
    if any(a in first and b in second for a, b in site.pairs):
        known = inference.provenance.tensor
        value = second if site.first in known else first
        return (site.first in known) != (site.second in known) and len(value) == 1
    return not (first and second)


def _own(inference: Inference, node: Node, leaf: Atom) -> bool:
    """Whether a value differs along a leaf by itself, rather than being made as long as what it is used with."""
    return any(leaf in set(atoms.leaves(d)) for d in inference.walk.all_dims(node))


def _places(inference: Inference, user: Node, source: Node, leaf: Atom) -> list[int]:
    seen = inference.walk.uses.get(user, {}).get(source) or inference.walk.all_dims(source)
    return [i for i, d in enumerate(seen) if leaf in set(atoms.leaves(d))]
