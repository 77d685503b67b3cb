"""Numbers that modules keep of their tensors, as dimensions in atoms: what has to follow when an axis is cut."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom, Conflict, Dim
from penjing.layouts.graph.walk import Dims, Walk, arguments, op_name

Sizes = Mapping[Atom, int]


@dataclass(frozen=True)
class Setting:
    """An attribute of a module that holds the length of a dimension, or a tuple of several."""

    path: str
    attribute: str
    dims: tuple[tuple[Atom, ...], ...]
    several: bool = False

    @property
    def name(self) -> str:
        """Its path in the module."""
        return f"{self.path}.{self.attribute}" if self.path else self.attribute

    def value(self, sizes: Sizes) -> Any:
        """What it has to be when leaves have these sizes."""
        found = tuple(length(d, sizes) for d in self.dims)
        return found if self.several else found[0]

    def put(self, module: nn.Module, sizes: Sizes) -> None:
        """Set it; changes the module."""
        setattr(module.get_submodule(self.path), self.attribute, self.value(sizes))


def length(dim: Iterable[Atom], sizes: Sizes) -> int:
    """How long a dimension is when leaves have other sizes."""
    out = 1
    for atom in atoms.normal(list(dim)):
        out *= sum(length(p, sizes) for p in atom.parts) if atom.parts is not None else sizes.get(atom, atom.size)
    return out


def one_number(module: nn.Module, tensors: Mapping[str, Dims]) -> None:
    """Unify what one number of a module says: all layers and directions of a recurrent one are equally wide."""
    for path, part in module.named_modules():
        if not isinstance(part, nn.RNNBase):
            continue
        prefix = f"{path}." if path else ""
        wide = [d for n, d in tensors.items() if n.startswith(f"{prefix}weight_hh_l")]
        pairs = [(wide[0][1], d[1]) for d in wide[1:]]
        if part.proj_size:
            inner = [d for n, d in tensors.items() if n.startswith(f"{prefix}weight_hr_l")]
            pairs += [(inner[0][1], d[1]) for d in inner[1:]]
        for one, other in pairs:
            try:
                atoms.unify(one, other)
            except Conflict:
                for dim in (one, other):
                    atoms.freeze(dim, f"{path} says by one number how wide all its layers are")


def of_torch(module: nn.Module, walk: Walk, tensors: Mapping[str, Dims], nodes: Iterable[Node]) -> list[Setting]:
    """The settings of torch's own layers, from what they were seen to compute."""
    out = {(s.path, s.attribute): s for s in _by_nodes(module, walk, nodes)}
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(part, nn.RNNBase):
            last = tensors.get(f"{prefix}weight_hr_l0")
            names = {"input_size": (f"{prefix}weight_ih_l0", 1), "hidden_size": (f"{prefix}weight_hh_l0", 1)}
            if part.proj_size and last is not None:
                names = {**names, "proj_size": names["hidden_size"], "hidden_size": (f"{prefix}weight_hr_l0", 1)}
            for attribute, (name, place) in names.items():
                if name in tensors:
                    out[path, attribute] = Setting(path, attribute, (tuple(tensors[name][place]),))
    return list(out.values())


def _by_nodes(module: nn.Module, walk: Walk, nodes: Iterable[Node]) -> Iterator[Setting]:
    parts = dict(module.named_modules())
    for node in nodes:
        if node.op != "call_function" or node not in walk.uses:
            continue
        path, name = walk.module(node), op_name(node)
        part: Any = parts.get(path)
        if walk.groups.get(node):
            attribute = "num_groups" if hasattr(part, "num_groups") else "groups"
            if getattr(part, attribute, None) == atoms.length(walk.groups[node]):
                yield Setting(path, attribute, (tuple(walk.groups[node]),))
        shape = getattr(part, "normalized_shape", None)
        if isinstance(part, nn.LayerNorm | nn.RMSNorm) and shape and name in _NORMS:
            first = next((d for s, d in walk.uses[node].items() if len(d) >= len(shape) and s is node.args[0]), None)
            if first is not None:
                yield Setting(path, "normalized_shape", tuple(tuple(d) for d in first[-len(shape) :]), several=True)


def candidates(module: nn.Module, running: str, dims: Sequence[Dim], cut: Container[Atom]) -> list[Setting]:
    """The whole numbers that modules around `running` hold and that equal a run of factors in `dims` which is cut."""
    runs: dict[int, list[Dim]] = {}
    for dim in dims:
        for run in _runs(dim):
            if any(leaf in cut for leaf in atoms.leaves(run)):
                known = runs.setdefault(atoms.length(run), [])
                if not any(_same(run, k) for k in known):
                    known.append(run)
    around = [(p, m) for p, m in module.named_modules() if not p or running == p or running.startswith(f"{p}.")]
    out = []
    for path, part in sorted(around, key=lambda item: -len(item[0])):
        for attribute, value in vars(part).items():
            if type(value) is int and not attribute.startswith("_"):
                out += [Setting(path, attribute, (tuple(run),)) for run in runs.get(value, ())]
    return out


def _runs(dim: Dim) -> Iterator[Dim]:
    """Every stretch of neighbouring factors, the whole first, and those inside concatenations."""
    whole = atoms.normal(dim)
    for size in range(len(whole), 0, -1):
        for start in range(len(whole) - size + 1):
            yield whole[start : start + size]
    for atom in whole:
        for part in atom.parts or ():
            yield from _runs(part)


def _same(one: Dim, other: Dim) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def arguments_of(node: Node) -> dict[str, Any]:
    """The arguments of an operator that are neither tensors nor sizes."""
    return {k: v for k, v in arguments(node).items() if k not in SIZES}


SIZES = frozenset((
    "size", "start", "end", "split_size", "split_sizes", "repeats", "normalized_shape", "groups", "group", "N", "C",
    "HxW", "output_size", "sections", "chunks", "length", "steps", "stride", "storage_offset", "num_classes", "k", "n",
    "m", "indices_or_sections", "input_size",
))  # fmt: skip
"""Arguments that are lengths or places: a wrong one shows in the shape of what comes out."""
_NORMS = frozenset({"native_layer_norm", "_fused_rms_norm", "mean"})
