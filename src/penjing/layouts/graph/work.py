"""The multiply-adds of every product, as a monomial in the sizes of axes and the number of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from penjing.core import Work
from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.provenance import Provenance
from penjing.layouts.graph.walk import ProductSite, Walk


def work_of(walk: Walk, provenance: Provenance, names: Mapping[Atom, str]) -> tuple[Work, ...]:
    """One entry per product and per stretch of its concatenated dimensions, in graph order."""
    out: list[Work] = []
    for site in walk.products:
        tensor = provenance.tensor.get(site.second) or provenance.tensor.get(site.first) or ""
        out.extend(_site(site, tensor, names))
    return tuple(out)


def _site(site: ProductSite, tensor: str, names: Mapping[Atom, str]) -> list[Work]:
    choices = [_monomials(d) for d in site.over]
    found: dict[tuple[tuple[str, ...], int], int] = {}
    for combination in itertools.product(*choices):
        constant, axes, tokens = 1, [], 0
        for leaf in itertools.chain.from_iterable(combination):
            if leaf.batch:
                continue
            if leaf.tokens:
                tokens += 1
            elif leaf in names:
                axes.append(names[leaf])
            else:
                constant *= leaf.size
        key = (tuple(sorted(axes)), tokens)
        found[key] = found.get(key, 0) + constant
    return [Work(constant, axes, tokens, tensor) for (axes, tokens), constant in found.items()]


def _monomials(dim: Sequence[Atom]) -> list[list[Atom]]:
    """A dimension as a sum of products of leaves."""
    factors: list[list[list[Atom]]] = []
    for atom in atoms.normal(dim):
        if atom.parts is None:
            factors.append([[atom]])
        else:
            factors.append([m for part in atom.parts for m in _monomials(part)])
    return [list(itertools.chain.from_iterable(c)) for c in itertools.product(*factors)]


def reads_of(walk: Walk, provenance: Provenance) -> dict[str, tuple[int, ...]]:
    """For each parameter, the dimensions over which some product sums."""
    found: dict[str, set[int]] = {}
    for site in walk.products:
        for i, j in site.pairs:
            for node, place in ((site.first, i), (site.second, j)):
                if node in provenance.tensor:
                    found.setdefault(provenance.tensor[node], set()).update(provenance.origin[node][place])
    for site in walk.products:
        if site.groups and site.second in provenance.tensor:
            found.setdefault(provenance.tensor[site.second], set())
    return {t: tuple(sorted(d)) for t, d in found.items()}
