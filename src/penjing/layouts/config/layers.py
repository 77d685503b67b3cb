"""Models whose layers differ in width: built from the entries in which each layer differs, and the config of one."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from penjing.core import Blocks, Layout
from penjing.core.pattern import cut, leaves, names
from penjing.core.spec import LAYERS, layers_of, with_layers
from penjing.errors import CheckpointError, PlanError
from penjing.layouts.config import paths
from penjing.layouts.graph.thin import signature

Make = Callable[[Mapping[str, Any]], nn.Module]
"""From a config to the stock model of it."""


def mix_in(module: nn.Module, config: Mapping[str, Any], make: Make) -> nn.Module:
    """The model with each layer made from its own config; changes `module`. Layers that are not there are left out.

    Raises:
        CheckpointError: an entry changes more than the layers.
    """
    plain = {k: v for k, v in config.items() if k != LAYERS}
    groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for number, changes in layers_of(config).items():
        groups.setdefault(repr(sorted(changes.items())), (changes, []))[1].append(number)
    for changes, numbers in groups.values():
        other = make(paths.put(plain, changes))
        mine, theirs = _lists(module), _lists(other)
        changed = False
        for path in mine.keys() & theirs.keys():
            for k in (n for n in numbers if n < len(mine[path]) and n < len(theirs[path])):
                if signature(mine[path][k]) != signature(theirs[path][k]):
                    mine[path][k] = theirs[path][k]
                    changed = True
        outside = {n: t.shape for n, t in module.state_dict().items() if not _inside(n, mine)}
        wrong = next((n for n, t in other.state_dict().items() if n in outside and outside[n] != t.shape), "")
        if wrong or (not changed and all(n < len(x) for x in mine.values() for n in numbers)):
            said = ", ".join(f"{p} = {v}" for p, v in changes.items())
            why = f"changes {wrong} too" if wrong else "changes nothing"
            raise CheckpointError(f"layer {numbers[0]} is told to have {said}, which {why}; correct '{LAYERS}'")
    return module


def _lists(module: nn.Module) -> dict[str, nn.ModuleList]:
    return {path: part for path, part in module.named_modules() if isinstance(part, nn.ModuleList)}


def _inside(name: str, lists: Mapping[str, nn.ModuleList]) -> bool:
    return any(name.startswith(f"{path}.") for path in lists)


def held_by_layer(
    config: Mapping[str, Any], uniform: Layout, sizes: Mapping[str, int], expected: Layout, derive: Any
) -> dict[str, Any]:
    """The config whose layers have these sizes, each its own; proved by building it on `meta` and by a new trace.

    `uniform` is the layout of the same model with layers that are alike, `expected` the one whose axes `sizes` are of.

    Raises:
        PlanError: no such config holds the sizes.
    """
    from penjing.layouts.config import hold
    from penjing.layouts.config.entries import shapes_of, written_out
    from penjing.layouts.config.left_open import filled
    from penjing.layouts.config.stock import build, full_config
    from penjing.layouts.config.values import new_values

    if len(uniform.blocks) != 1:
        raise PlanError(f"widths that differ per layer need one list of blocks; this model has {len(uniform.blocks)}")
    block, plain = uniform.blocks[0], full_config(with_layers(config, {}))
    full = filled(written_out(plain, build(plain)), uniform)
    twins = _twins(uniform, block)
    changes = [new_values(uniform, full, _of_layer(uniform, block, twins, sizes, k)) for k in range(block.size)]
    common = {p: v for p, v in changes[0].items() if all(c.get(p) == v for c in changes)}
    layers = {k: {p: v for p, v in c.items() if common.get(p) != v} for k, c in enumerate(changes)}
    new = with_layers(paths.put(full, common), {k: c for k, c in layers.items() if c})
    try:
        module = build(new)
    except CheckpointError as error:
        raise PlanError(f"no config holds these widths per layer: {error}") from error
    moved = {a: n for a, n in sizes.items() if a in expected.axes and n != expected.axes[a].size}
    patterns = {t: cut(p, moved) for t, p in expected.patterns.items()}
    told = {f"{p} of layer {k}": v for k, c in layers.items() for p, v in c.items()}
    few = dict(list(told.items())[:3]) or common
    hold.compare_shapes(patterns, shapes_of(module), few, moved)
    hold.compare_constants(uniform, full, module, {p: v for c in changes for p, v in c.items()}, {})
    hold.compare_patterns(patterns, new, module, derive, few, moved)
    return with_layers(hold.as_given(with_layers(config, {}), full, paths.put(full, common)), layers_of(new))


def _of_layer(
    uniform: Layout, block: Blocks, twins: Mapping[str, Mapping[int, str]], sizes: Mapping[str, int], layer: int
) -> dict[str, int]:
    """The sizes that move if all layers were as this one is to be."""
    out: dict[str, int] = {}
    for axis in uniform.axes.values():
        if axis.name == block.axis:
            continue
        of = twins.get(axis.name)
        name = axis.name if of is None else of.get(layer, "")
        wanted = sizes.get(name, axis.size)
        if wanted != axis.size:
            out[axis.name] = wanted
    return out


def _twins(layout: Layout, block: Blocks) -> dict[str, dict[int, str]]:
    """Axis that only one layer has -> number of a layer -> the axis that plays its part there."""
    places: dict[str, set[tuple[int, str, int, int]]] = {}
    outside: set[str] = set()
    for tensor, pattern in layout.patterns.items():
        number, _, rest = tensor.removeprefix(f"{block.path}.").partition(".")
        if not tensor.startswith(f"{block.path}.") or not number.isdigit():
            outside |= {*names(pattern)}
            continue
        for d, dim in enumerate(pattern):
            for j, leaf in enumerate(leaves(dim)):
                if leaf.name:
                    places.setdefault(leaf.name, set()).add((int(number), rest, d, j))
    own = {a: p for a, p in places.items() if a not in outside and len({n for n, *_ in p}) == 1}
    parts: dict[frozenset[tuple[str, int, int]], dict[int, str]] = {}
    for axis, found in own.items():
        number = next(iter(found))[0]
        parts.setdefault(frozenset((r, d, j) for _, r, d, j in found), {})[number] = axis
    return {axis: of for of in parts.values() for axis in of.values()}
