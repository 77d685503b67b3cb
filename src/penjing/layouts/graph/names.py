"""Names for axes, from the structure of the graph and the paths of the tensors; no family is known by name.

A name is the kind, then the numbers in the module path that all its tensors share: `neurons.3`, `residual`. Where
two kinds of place would get one name, the words in their paths that tell them apart are added to both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAMED_BY_WRITER = ("neurons", "channels", "groups", "kernel", "dims", "unused")


@dataclass(frozen=True)
class Fact:
    """What an axis' name depends on: its kind, its tensors in order, and the parameter that writes it.

    `place` tells apart axes of one kind in the same tensors: the dimension of the writer, and the place therein.
    """

    kind: str
    tensors: tuple[str, ...]
    writer: str
    place: tuple[int, int] = (0, 0)


def assign(facts: Sequence[Fact]) -> list[str]:
    """One name per fact, all different, independent of the order of the facts."""
    bases = [_base(f) for f in facts]
    words = _telling_words(facts, bases)
    names = [".".join([b, *w]) for b, w in zip(bases, words, strict=True)]
    names = _by_writer(facts, names)
    return _by_number(facts, names)


def module_path(tensor: str) -> tuple[str, ...]:
    """The path of the module that holds a tensor, in parts."""
    return tuple(tensor.split(".")[:-1])


def common_path(tensors: Sequence[str]) -> tuple[str, ...]:
    """The longest path of modules that holds all tensors."""
    paths = [module_path(t) for t in tensors]
    shared = paths[0]
    for path in paths[1:]:
        same = 0
        while same < min(len(shared), len(path)) and shared[same] == path[same]:
            same += 1
        shared = shared[:same]
    return shared


def _base(fact: Fact) -> str:
    if _by_path(fact):
        return ".".join([fact.kind, *module_path(fact.writer)])
    return ".".join([fact.kind, *(p for p in common_path(fact.tensors) if p.isdigit())])


def _by_path(fact: Fact) -> bool:
    """Whether the axis lies in no numbered block and is called after the module that writes it."""
    return fact.kind in _NAMED_BY_WRITER and not any(p.isdigit() for p in common_path(fact.tensors))


def _shape(fact: Fact) -> tuple[str, tuple[str, ...]]:
    """The kind of place: the path with its numbers left out of account."""
    if _by_path(fact) or (fact.kind == "residual" and not numbers(".".join(common_path(fact.tensors)))):
        return fact.kind, ()
    return fact.kind, tuple("#" if p.isdigit() else p for p in common_path(fact.tensors))


def _telling_words(facts: Sequence[Fact], bases: Sequence[str]) -> list[tuple[str, ...]]:
    """For places whose names meet anywhere: the words of the path that not all of them share."""
    groups: dict[tuple[str, tuple[str, ...]], set[tuple[str, tuple[str, ...]]]] = {}
    by_base: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
    for fact, base in zip(facts, bases, strict=True):
        groups.setdefault(_shape(fact), {_shape(fact)})
        by_base.setdefault(base, set()).add(_shape(fact))
    for met in by_base.values():
        union = set().union(*(groups[s] for s in met))
        for member in union:
            groups[member] = union
    out = []
    for fact in facts:
        place, group = _shape(fact), groups[_shape(fact)]
        shared = set.intersection(*(set(path) for _, path in group))
        out.append(tuple(p for p in place[1] if p not in shared and p != "#") if len(group) > 1 else ())
    return out


def _by_writer(facts: Sequence[Fact], names: Sequence[str]) -> list[str]:
    """Names that are still equal get the numbers, or else the rest, of the writing parameter's path."""
    count: dict[str, int] = {}
    numbered: dict[str, set[tuple[str, ...]]] = {}
    for fact, name in zip(facts, names, strict=True):
        count[name] = count.get(name, 0) + 1
        numbered.setdefault(name, set()).add(numbers(".".join(module_path(fact.writer))))
    out = []
    for fact, name in zip(facts, names, strict=True):
        if fact.kind == "residual" and count[name] > 1 and len(numbered[name]) == count[name]:
            out.append(".".join([name, *numbers(".".join(module_path(fact.writer)))]))
            continue
        parts = fact.writer.split(".")
        rest = parts[-1:] if _by_path(fact) else parts[len(common_path(fact.tensors)) :]
        tail = [p for p in rest if p != "weight"]
        out.append(".".join([name, *tail]) if count[name] > 1 else name)
    return out


def _by_number(facts: Sequence[Fact], names: Sequence[str]) -> list[str]:
    """What nothing else tells apart is numbered by its place in the writer."""
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        rows.setdefault(name, []).append(i)
    out = list(names)
    taken = {n for n, r in rows.items() if len(r) == 1}
    for name, row in rows.items():
        if len(row) == 1:
            continue
        for order, i in enumerate(sorted(row, key=lambda i: (facts[i].writer, facts[i].place, facts[i].tensors))):
            new = f"{name}.{'abcdefghijklmnopqrstuvwxyz'[order]}" if len(row) <= 26 else f"{name}.n{order}"
            while new in taken:
                new += "'"
            taken.add(new)
            out[i] = new
    return out


def numbers(path: str) -> tuple[str, ...]:
    """The numbers in a path, in order."""
    return tuple(re.findall(r"(?<![^.])\d+(?![^.])", path))
