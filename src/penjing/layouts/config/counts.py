"""Which config entries count blocks, and a model's config with few blocks of each kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from penjing.core import Layout
from penjing.core.pattern import names
from penjing.core.spec import shorter
from penjing.errors import CheckpointError
from penjing.layouts.config import paths
from penjing.layouts.config.stock import build
from penjing.layouts.graph.thin import signature


@dataclass(frozen=True)
class Count:
    """A config entry that counts blocks: the module lists it makes longer, and config lists with one item per block."""

    entry: str
    size: int
    lists: tuple[str, ...]
    per_block: tuple[str, ...]


def module_lists(module: nn.Module) -> dict[str, nn.ModuleList]:
    """Path -> list, outer before inner."""
    return {path: part for path, part in module.named_modules() if isinstance(part, nn.ModuleList)}


def shorten(config: Mapping[str, Any], count: Count, keep: tuple[int, ...]) -> dict[str, Any]:
    """The config with only some of the blocks that an entry counts, and its per-block lists cut alike."""
    changes: dict[str, Any] = {count.entry: len(keep)}
    for path in count.per_block:
        values = paths.get(config, path)
        changes[path] = [values[k] for k in keep]
    return shorter(paths.put(config, {**changes, **_stages(config, count, keep)}), keep)


def few_blocks(config: Mapping[str, Any], module: nn.Module) -> tuple[dict[str, Any], nn.Module, list[Count]]:
    """The config and model with the first blocks of each list, one of each kind at least, and what counts them."""
    found: list[Count] = []
    small, built = dict(config), module
    for entry, value in sorted(paths.numbers(config), key=_likely):
        sizes = {len(blocks) for blocks in module_lists(built).values()}
        if not isinstance(value, int) or value < 1 or value not in sizes or paths.get(small, entry) != value:
            continue  # an item of a list that has become shorter tells of blocks that are no longer there
        count, needed = _try(small, entry, value, built)
        if count is None:
            continue
        found.append(count)
        if needed < value:
            small = shorten(small, count, tuple(range(needed)))
            built = build(small)
    return small, built, found


def per_layer(config: Mapping[str, Any], entry: str, size: int) -> tuple[str, ...]:
    """The lists beside a counting entry that have one item per block."""
    folder = entry.rpartition(".")[0]
    near = {p: v for p, v in paths.lists(config) if p.rpartition(".")[0] == folder}
    return tuple(p for p, v in near.items() if len(v) == size and not entry.startswith(f"{p}["))


def droppable(layout: Layout, path: str, size: int) -> bool:
    """Whether all blocks of a list read and write the same outer axes, so that any of them can be left out.

    What only some kinds of blocks share among themselves, such as the dimensions that one kind of attention rotates, is
    no bar: it is neither given to a block nor handed on.
    """
    inside = f"{path}."
    used: dict[str, set[str]] = {}
    for tensor, pattern in layout.patterns.items():
        owner = tensor[len(inside) :].split(".", 1)[0] if tensor.startswith(inside) else ""
        for axis in names(pattern):
            used.setdefault(axis, set()).add(owner)
    outer: dict[str, set[str]] = {str(k): set() for k in range(size)}
    for axis, owners in used.items():
        if len(owners) > 1:
            for owner in owners & outer.keys():
                outer[owner].add(axis)
    stream = {a for axes in outer.values() for a in axes if layout.axes[a].kind == "residual"}
    given = {frozenset(axes & stream if stream else axes) for axes in outer.values()}
    return len(given) == 1 and bool(next(iter(given)))


def _stages(config: Mapping[str, Any], count: Count, keep: tuple[int, ...]) -> dict[str, Any]:
    """Of a config that names what each block gives (`stage_names`), the names and outputs that are left.

    Stage 0 lies before the first block and stage k behind block k - 1; an output behind a block that goes is taken
    behind the last one before it that stays.
    """
    folder = count.entry.rpartition(".")[0]
    names, features, indices = (
        f"{folder}.{name}" if folder else name for name in ("stage_names", "out_features", "out_indices")
    )
    stages, outputs = paths.get(config, names), paths.get(config, features)
    if not isinstance(stages, list | tuple) or len(stages) != count.size + 1 or count.per_block:
        return {}
    changes: dict[str, Any] = {names: list(stages[: len(keep) + 1])}
    if isinstance(outputs, list | tuple) and all(name in stages for name in outputs):
        left = dict.fromkeys(sum(block < stages.index(name) for block in keep) for name in outputs)
        changes |= {features: [stages[k] for k in left], indices: [*left]}
    return changes


def _try(config: Mapping[str, Any], entry: str, value: int, module: nn.Module) -> tuple[Count | None, int]:
    """Whether an entry counts blocks, and how many of them show every kind."""
    before = module_lists(module)
    fewer = value - 1 if value > 1 else value + 1
    for per_block in dict.fromkeys((per_layer(config, entry, value), ())):
        if fewer > value and per_block:
            continue
        trial = Count(entry, value, (), per_block)
        try:
            after = module_lists(build(shorten(config, trial, tuple(range(fewer)))))
        except CheckpointError:
            continue
        changed = tuple(p for p, b in before.items() if p in after and len(b) == value and len(after[p]) == fewer)
        if changed:
            needed = max(_kinds(before[p]) for p in changed)
            return Count(entry, value, changed, per_block), min(value, max(2, needed))
    return None, value


def _kinds(blocks: nn.ModuleList) -> int:
    """How many of the first blocks are needed to see every kind."""
    first: dict[Any, int] = {}
    for k, block in enumerate(blocks):
        first.setdefault(signature(block), k)
    return max(first.values(), default=0) + 1


def _likely(item: tuple[str, Any]) -> tuple[bool, str]:
    name = item[0].rpartition(".")[2]
    return not any(word in name for word in ("layer", "depth", "block", "repeat")), item[0]
