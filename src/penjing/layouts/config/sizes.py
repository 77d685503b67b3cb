"""The sizes of axes that a changed model tells: by its lengths, and by the whole-number settings of its modules."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from penjing.core import Concat, Pattern, Product
from penjing.core.pattern import leaves, size
from penjing.layouts.config import scales

Shapes = Mapping[str, tuple[int, ...]]
Settings = Mapping[str, Mapping[str, int]]
Dims = list[tuple[Product, int]]
MOST = 4096
"""Ways of matching settings with axes that are tried for one module."""


class UnclearError(Exception):
    """Several sizes are as likely as each other."""


@dataclass(frozen=True)
class Reader:
    """What a base model lends to the reading of changed ones: its patterns, its settings, and where they are needed.

    `unsure` maps each module with a dimension whose factors lengths cannot tell apart to the tensors in question.
    """

    patterns: Mapping[str, Pattern]
    settings: Settings
    unsure: Mapping[str, tuple[str, ...]]

    def read(self, shapes: Shapes, settings: Settings) -> dict[str, int] | None:
        """The size of every axis in a changed model, or None when no sizes fit.

        Raises:
            UnclearError: several fit as well as each other.
        """
        known, _ = known_sizes(_dims(self.patterns, shapes))
        if known is None:
            return None
        for path, tensors in self.unsure.items():
            more = self._of_module(path, tensors, shapes, settings, known)
            if more is None:
                return None
            known |= more
        return solve(self.patterns, shapes, known)

    def _of_module(
        self, path: str, tensors: tuple[str, ...], shapes: Shapes, settings: Settings, known: Mapping[str, int]
    ) -> dict[str, int] | None:
        """The sizes in one module that fit all its dimensions and account for most of its settings."""
        patterns = {t: self.patterns[t] for t in tensors}
        old = {leaf.name: leaf.size for p in patterns.values() for leaf in leaves(p) if leaf.name}
        before, after = self.settings[path], settings[path]
        kept = {**old, **known}
        if before == after and all(size(d, kept) == n for d, n in _dims(patterns, shapes)):
            return {name: kept[name] for name in old}
        choices = [
            [(name, n) for n in dict.fromkeys(after[k] for k, v in before.items() if v == old[name] and k in after)]
            for name in old
            if name not in known
        ]
        if _count(choices) > MOST:
            raise UnclearError(path)
        found: dict[tuple[tuple[str, int], ...], int] = {}
        for chosen in itertools.product(*([None, *c] for c in choices if c)):
            sizes = known_sizes(_dims(patterns, shapes), {**known, **dict(c for c in chosen if c)})[0]
            if sizes is not None and old.keys() <= sizes.keys():
                own = {name: sizes[name] for name in old}
                found[tuple(sorted(own.items()))] = _explained(old, own, before, after)
        best = [one for one, count in found.items() if count == max(found.values())]
        if len(best) > 1:
            raise UnclearError(path)
        return dict(best[0]) if best else None


def _count(choices: list[list[tuple[str, int]]]) -> int:
    out = 1
    for choice in choices:
        out *= len(choice) + 1
    return out


def _explained(
    old: Mapping[str, int], new: Mapping[str, int], before: Mapping[str, int], after: Mapping[str, int]
) -> int:
    """How many settings an axis has been equal to, and still is."""
    pairs = {(old[name], new[name]) for name in old}
    return sum((value, after.get(k)) in pairs for k, value in before.items())


def reader(patterns: Mapping[str, Pattern], module: nn.Module) -> Reader:
    """What can be read from models like this one, whose tensors have these patterns."""
    plain = {p for p, part in module.named_modules() if not any(True for _ in part.children())}
    known = known_sizes([(d, size(d, {})) for p in patterns.values() for d in p])[0] or {}
    unsure: dict[str, list[str]] = {}
    for tensor, pattern in patterns.items():
        if any(leaf.name and leaf.name not in known for leaf in leaves(pattern)):
            path = tensor.rpartition(".")[0]
            while path in plain and path:
                path = path.rpartition(".")[0]
            unsure.setdefault(path, []).append(tensor)
    return Reader(patterns, settings_of(module, unsure), {path: tuple(t) for path, t in unsure.items()})


def settings_of(module: nn.Module, paths: Mapping[str, object]) -> dict[str, dict[str, int]]:
    """The whole-number settings of some submodules."""
    return {path: values for path, values in scales.integers(module).items() if path in paths}


def solve(
    patterns: Mapping[str, Pattern], shapes: Shapes, given: Mapping[str, int] | None = None
) -> dict[str, int] | None:
    """The size of every axis that makes these shapes, some of them `given`, or None where they do not tell.

    An axis whose size cannot be told keeps its size if every dimension that it is in can stay as it was.
    """
    dims = _dims(patterns, shapes)
    known, waiting = known_sizes(dims, given)
    if known is None:
        return None
    for dim, _ in waiting:
        known |= {leaf.name: leaf.size for leaf in leaves(dim) if leaf.name and leaf.name not in known}
    return known if all(size(d, known) == n for d, n in dims) else None


def known_sizes(dims: Dims, given: Mapping[str, int] | None = None) -> tuple[dict[str, int] | None, Dims]:
    """The axes whose sizes the lengths tell, one at a time, and the dimensions that tell no more; None on a clash."""
    known = dict(given or {})
    waiting = [(d, n) for d, n in dims if any(leaf.name for leaf in leaves(d))]
    while True:
        rest = []
        for dim, length in waiting:
            unknown = {leaf.name for leaf in leaves(dim) if leaf.name and leaf.name not in known}
            if len(unknown) > 1:
                rest.append((dim, length))
                continue
            name = unknown.pop() if unknown else ""
            found = _one_unknown(dim, name, known, length)
            if found is None:
                return None, rest
            known |= {name: found} if name else {}
        if len(rest) == len(waiting):
            return known, waiting
        waiting = rest


def _one_unknown(dim: Product | Concat, name: str, known: Mapping[str, int], length: int) -> int | None:
    """The size of the one unknown axis in a dimension that makes its length, found by bisection: lengths only grow."""
    low, high = 1, max(1, length) if name else 1
    while low < high:
        middle = (low + high) // 2
        if size(dim, {**known, name: middle}) < length:
            low = middle + 1
        else:
            high = middle
    return low if size(dim, {**known, name: low}) == length else None


def _dims(patterns: Mapping[str, Pattern], shapes: Shapes) -> Dims:
    return [(d, n) for t, p in patterns.items() for d, n in zip(p, shapes[t], strict=True)]
