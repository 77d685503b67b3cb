"""Which axes move with which config entry: found by changing each entry and looking what moves."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from penjing.core import Axis, Blocks, Concat, Entry, Layout, Pattern, Product
from penjing.core.pattern import leaves, size
from penjing.errors import CheckpointError, LayoutError
from penjing.layouts import alike, counts, paths, scales
from penjing.layouts.stock import build
from penjing.layouts.thin import signature

Derive = Callable[[nn.Module], Layout]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Base:
    """The small model that trials are compared with: its config, its module, and its part of the layout.

    `unsure` are the modules with a dimension whose factors shapes cannot tell apart, `settings` their own numbers.
    """

    config: Mapping[str, Any]
    module: nn.Module
    patterns: Mapping[str, Pattern]
    shapes: Shapes
    unsure: frozenset[str]
    settings: tuple[Any, ...]


def with_entries(config: Mapping[str, Any], module: nn.Module, layout: Layout, derive: Derive) -> Layout:
    """The layout with its config entries, and with its lists of blocks as axes; `config` has every default written out.

    Each number of the config is doubled, or else halved, raised or lowered by one, at two blocks on `meta`. Where
    shapes alone do not tell which factor of a dimension moved, the changed model is traced by `derive`.
    """
    small, built, found = counts.few_blocks(config, module)
    shapes = shapes_of(built)
    patterns = {t: layout.patterns[t] for t in shapes if t in layout.patterns}
    unsure = _unsure(patterns, built)
    base = _Base(small, built, patterns, shapes, unsure, _settings(built, unsure))
    counting = {c.entry for c in found}
    spread = _spread(layout, module, built)
    entries = []
    for path, value in paths.numbers(small):
        entry = None if path in counting or not value else _trial(base, path, value, derive)
        if entry is not None and (entry.moves or entry.scales):
            moves = {there: power for axis, power in entry.moves.items() for there in spread.get(axis, (axis,))}
            entries.append(replace(entry, value=float(paths.get(config, path)), moves=moves))
    return _with_blocks(_filled(layout, tuple(entries)), found)


def shapes_of(module: nn.Module) -> Shapes:
    """Name -> shape of everything that a checkpoint of the module holds, each tied tensor under each of its names."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _trial(base: _Base, path: str, value: float, derive: Derive) -> Entry | None:
    """What moves with one entry, or None when nothing does."""
    for changed in _values(value):
        try:
            module = build(paths.put(base.config, {path: changed}))
        except CheckpointError:
            continue
        shapes = shapes_of(module)
        if set(shapes) != set(base.shapes):
            continue
        regrouped = _settings(module, base.unsure) != base.settings
        if shapes == base.shapes and not regrouped:
            constants = scales.moved(base.module, module)
            return Entry(path=path, value=value, scales=constants) if constants else None
        sizes = None if regrouped else solve(base.patterns, shapes)
        if sizes is None:
            sizes = _by_trace(base.patterns, module, derive)
        if sizes is None:
            continue
        moves = _powers(base.patterns, sizes, changed / value)
        return Entry(path=path, value=value, moves=moves, scales=scales.moved(base.module, module))
    return None


def _values(value: float) -> list[float]:
    if isinstance(value, float):
        return [value * 2, value / 2]
    return [value * 2, *([value // 2] if value % 2 == 0 else []), value + 1, *([value - 1] if value > 1 else [])]


def _unsure(patterns: Mapping[str, Pattern], module: nn.Module) -> frozenset[str]:
    """The innermost modules with parts around each tensor that has factors which shapes cannot tell apart."""
    plain = {p for p, part in module.named_modules() if not any(True for _ in part.children())}
    known = _known([(d, size(d, {})) for p in patterns.values() for d in p])[0] or {}
    out: set[str] = set()
    for tensor, pattern in patterns.items():
        if any(leaf.name and leaf.name not in known for leaf in leaves(pattern)):
            path = tensor.rpartition(".")[0]
            while path in plain and path:
                path = path.rpartition(".")[0]
            out.add(path)
    return frozenset(out)


def _settings(module: nn.Module, paths_: frozenset[str]) -> tuple[Any, ...]:
    """The whole-number settings of some submodules."""
    return tuple(sorted((p, *sorted(v.items())) for p, v in scales.integers(module).items() if p in paths_))


def solve(patterns: Mapping[str, Pattern], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int] | None:
    """The size of every axis that makes these shapes, or None where they do not tell.

    An axis whose size cannot be told keeps its size if every dimension that it is in can stay as it was.
    """
    dims = [(d, n) for t, p in patterns.items() for d, n in zip(p, shapes[t], strict=True)]
    known, waiting = _known(dims)
    if known is None:
        return None
    for dim, _ in waiting:
        known |= {leaf.name: leaf.size for leaf in leaves(dim) if leaf.name and leaf.name not in known}
    return known if all(size(d, known) == n for d, n in dims) else None


def _known(dims: list[tuple[Product, int]]) -> tuple[dict[str, int] | None, list[tuple[Product, int]]]:
    """The axes whose sizes the lengths tell, one at a time, and the dimensions that tell no more; None on a clash."""
    known: dict[str, int] = {}
    waiting = [(d, n) for d, n in dims if any(leaf.name for leaf in leaves(d))]
    while True:
        rest = []
        for dim, length in waiting:
            unknown = {leaf.name for leaf in leaves(dim) if leaf.name and leaf.name not in known}
            if len(unknown) > 1:
                rest.append((dim, length))
            elif unknown:
                name = unknown.pop()
                found = _one_unknown(dim, name, known, length)
                if found is None:
                    return None, rest
                known[name] = found
        if len(rest) == len(waiting):
            return known, waiting
        waiting = rest


def _one_unknown(dim: Product | Concat, name: str, known: Mapping[str, int], length: int) -> int | None:
    """The size of the one unknown axis in a dimension that makes its length, found by bisection: lengths only grow."""
    low, high = 1, max(1, length)
    while low < high:
        middle = (low + high) // 2
        if size(dim, {**known, name: middle}) < length:
            low = middle + 1
        else:
            high = middle
    return low if size(dim, {**known, name: low}) == length else None


def _by_trace(patterns: Mapping[str, Pattern], module: nn.Module, derive: Derive) -> dict[str, int] | None:
    try:
        other = derive(module)
        pairs = alike.pair(patterns, other.patterns)
    except (LayoutError, alike.UnlikeError):
        return None
    return {a: other.axes[b].size if b else 1 for a, b in pairs.items() if not b or b in other.axes}


def _powers(patterns: Mapping[str, Pattern], sizes: Mapping[str, int], factor: float) -> dict[str, float]:
    old = {leaf.name: leaf.size for p in patterns.values() for leaf in leaves(p) if leaf.name}
    moved = {a: sizes[a] for a in old if a in sizes and sizes[a] != old[a]}
    powers = {a: math.log(n / old[a]) / math.log(factor) for a, n in moved.items()}
    return {a: float(round(p)) if abs(p - round(p)) < 0.02 else round(p, 4) for a, p in powers.items()}


def _spread(layout: Layout, module: nn.Module, small: nn.Module) -> dict[str, tuple[str, ...]]:
    """Axis of the small model -> itself and the axes that play its part in the blocks that were left out."""
    out: dict[str, dict[str, None]] = {}
    few = counts.module_lists(small)
    for path, blocks in counts.module_lists(module).items():
        if path not in few or len(few[path]) == len(blocks):
            continue
        model = {signature(b): k for k, b in reversed(list(enumerate(few[path])))}
        for k, block in enumerate(blocks):
            source = model.get(signature(block))
            if source is not None:
                _pair_blocks(layout, f"{path}.{source}.", f"{path}.{k}.", out)
    return {a: tuple(dict.fromkeys((a, *there))) for a, there in out.items()}


def _pair_blocks(layout: Layout, old: str, new: str, out: dict[str, dict[str, None]]) -> None:
    for tensor, pattern in layout.patterns.items():
        there = layout.patterns.get(new + tensor[len(old) :]) if tensor.startswith(old) else None
        if there is not None:
            for a, b in zip(leaves(pattern), leaves(there), strict=False):
                if a.name and b.name:
                    out.setdefault(a.name, {})[b.name] = None


def _filled(layout: Layout, entries: tuple[Entry, ...]) -> Layout:
    following: dict[str, list[str]] = {}
    for entry in entries:
        for axis in entry.moves:
            following.setdefault(axis, []).append(entry.path)
    axes = {n: replace(a, entries=tuple(following.get(n, ()))) for n, a in layout.axes.items()}
    return replace(layout, axes=axes, entries=entries)


def _with_blocks(layout: Layout, found: list[counts.Count]) -> Layout:
    """The lists of blocks that a block can be left out of, as axes of their own."""
    lists = [(c, path) for c in found for path in c.lists if counts.droppable(layout, path, c.size)]
    blocks, axes = [], dict(layout.axes)
    for count, path in lists:
        name = _block_axis(path, [p for _, p in lists])
        blocks.append(Blocks(axis=name, path=path, size=count.size, entry=count.entry, lists=count.per_block))
        axes[name] = Axis(
            name=name,
            size=count.size,
            state="sensitive",
            reason="dropping a block is not a mask",
            entries=(count.entry,),
        )
    return replace(layout, blocks=tuple(blocks), axes=axes)


def _block_axis(path: str, others: list[str]) -> str:
    """`blocks` for an only list, else `blocks.` and the parts of its path that tell it from the others."""
    if len(others) == 1:
        return "blocks"
    steps = [p.split(".") for p in others]
    shared = {part for part in steps[0] if all(part in s for s in steps)}
    own = [part for part in path.split(".") if part not in shared]
    return ".".join(["blocks", *own])
