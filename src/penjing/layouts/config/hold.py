"""The config that holds other sizes of the axes, proved before anything is written."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from penjing.core import Blocks, Layout, Pattern
from penjing.core.pattern import cut, names, shape
from penjing.errors import CheckpointError, LayoutError, PlanError
from penjing.layouts.config import alike, counts, paths, scales
from penjing.layouts.config.entries import written_out
from penjing.layouts.config.left_open import filled, same_model, shapes_of
from penjing.layouts.config.numbers import compare_numbers
from penjing.layouts.config.stock import build, full_config, read_config
from penjing.layouts.config.values import new_values

Derive = Callable[[Mapping[str, Any], nn.Module], Layout]
Kept = Mapping[str, Sequence[int]]
MOST_BUILDS = 64
"""How many other sizes are tried, nearest first, before a refusal gives no advice."""


def held(
    config: Mapping[str, Any],
    layout: Layout,
    sizes: Mapping[str, int],
    derive: Derive,
    kept_blocks: Kept | None = None,
    rescaled: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The config whose stock model has these sizes of axes, all others as they are.

    `layout` has the names of the stock model; `kept_blocks` tells which blocks of each block axis stay (the first
    ones, unless told). Entries are solved for in logarithms, the model is built on `meta`, and its tensors are
    compared with the plan's: shapes first, then how every dimension is grouped, by a new trace. Constants must stay
    what they are, but those `rescaled` may follow the root of an axis' size.

    Raises:
        PlanError: no stock config holds these sizes; the message names the entry, the sizes and the nearest that does.
        LayoutError: an axis is not known.
    """
    plain = full_config(config)
    full = filled(written_out(plain, build(plain)), layout)
    wanted = {a: int(n) for a, n in sizes.items() if n != layout.axis(a).size}
    kept = _kept_blocks(layout, wanted, kept_blocks or {})
    _check_least(layout, wanted)
    moved = {a: n for a, n in wanted.items() if all(a != b.axis for b in layout.blocks)}
    changes = new_values(layout, full, moved, _gone(layout, kept))
    new = _without_blocks(paths.put(full, changes), layout, kept)
    module = _build(new, full, layout, changes, moved)
    expected = _expected(layout, moved, kept)
    compare_shapes(expected, shapes_of(module), changes, moved)
    compare_constants(layout, full, module, changes, _rescaled(layout, moved, rescaled or {}))
    if moved:
        compare_patterns(expected, new, module, derive, changes, moved)
        compare_numbers(layout, full, module, moved, said=_values(changes))
    return as_given(config, full, new)


def _check_least(layout: Layout, wanted: Mapping[str, int]) -> None:
    for name, count in wanted.items():
        axis = layout.axes[name]
        if count < max(1, axis.least):
            raise PlanError(
                f"the plan leaves {count} in '{name}', which needs at least {max(1, axis.least)}; keep more of it"
            )
        if count > axis.size:
            raise PlanError(f"the plan wants {count} in '{name}', which has {axis.size}; a plan only cuts")


def _kept_blocks(layout: Layout, wanted: Mapping[str, int], given: Kept) -> dict[str, tuple[int, ...]]:
    out: dict[str, tuple[int, ...]] = {}
    for blocks in layout.blocks:
        count = wanted.get(blocks.axis, blocks.size)
        units = tuple(given.get(blocks.axis, range(count)))
        if len(units) != count and blocks.axis in wanted:
            raise PlanError(
                f"the plan leaves {count} in '{blocks.axis}' but names {len(units)} blocks; name as many as stay"
            )
        if len(units) == blocks.size:
            continue
        if not blocks.entry:
            raise PlanError(
                f"no config entry counts the blocks of '{blocks.axis}', so no stock config holds {len(units)} of them"
            )
        out[blocks.axis] = units
    return out


def _gone(layout: Layout, kept: Kept) -> set[str]:
    """Axes that occur only in blocks that are dropped."""
    expected = _surviving(layout, kept)
    there = {name for tensor in expected for name in names(layout.patterns[tensor])}
    return set(layout.axes) - there - {b.axis for b in layout.blocks}


def _surviving(layout: Layout, kept: Kept) -> dict[str, str]:
    """Tensor -> its name once blocks are dropped and the others renumbered."""
    out: dict[str, str] = {}
    for tensor in layout.patterns:
        new: str | None = tensor
        for blocks in layout.blocks:
            if new is not None and blocks.axis in kept:
                new = renumbered(new, blocks, tuple(kept[blocks.axis]))
        if new is not None:
            out[tensor] = new
    return out


def renumbered(tensor: str, blocks: Blocks, kept: tuple[int, ...]) -> str | None:
    """The name of a tensor when only the `kept` blocks stay, or None when its block goes."""
    inside = f"{blocks.path}."
    if not tensor.startswith(inside):
        return tensor
    number, dot, rest = tensor[len(inside) :].partition(".")
    return f"{inside}{kept.index(int(number))}{dot}{rest}" if int(number) in kept else None


def _expected(layout: Layout, moved: Mapping[str, int], kept: Kept) -> dict[str, Pattern]:
    return {new: cut(layout.patterns[old], moved) for old, new in _surviving(layout, kept).items()}


def _without_blocks(config: dict[str, Any], layout: Layout, kept: Kept) -> dict[str, Any]:
    for blocks in layout.blocks:
        if blocks.axis in kept:
            count = counts.Count(blocks.entry, blocks.size, (blocks.path,), blocks.lists)
            config = counts.shorten(config, count, tuple(kept[blocks.axis]))
    return config


def _build(
    new: Mapping[str, Any],
    full: Mapping[str, Any],
    layout: Layout,
    changes: Mapping[str, Any],
    moved: Mapping[str, int],
) -> nn.Module:
    try:
        return build(new)
    except CheckpointError as error:
        values = ", ".join(f"{p} = {v}" for p, v in changes.items()) or "fewer blocks"
        said = str(error.__cause__ or error).strip().splitlines()[-1].strip().rstrip(".")
        raise PlanError(f"the stock code refuses {values}: {said}{_nearest(full, layout, changes, moved)}") from error


def _nearest(full: Mapping[str, Any], layout: Layout, changes: Mapping[str, Any], moved: Mapping[str, int]) -> str:
    """Advice: the nearest sizes of one kind of axis that stock code accepts, the other kinds as wanted."""
    changed = {a for e in layout.entries if e.path in changes for a in e.moves}
    for kind in dict.fromkeys(layout.axes[a].kind for a in moved if a in changed):
        group = [a for a in moved if layout.axes[a].kind == kind]
        wanted, whole = moved[group[0]], layout.axes[group[0]].size
        if any(moved[a] != wanted or layout.axes[a].size != whole for a in group):
            continue
        least = max(1, *(layout.axes[a].least for a in group))
        others = sorted(set(range(least, whole)) - {wanted}, key=lambda n: (abs(n - wanted), -n))
        for count in others[:MOST_BUILDS]:
            values = _accepted(full, layout, {**moved, **dict.fromkeys(group, count)})
            if values:
                return f"; the nearest that opens is {_values(values)}: keep {count} in '{group[0]}' and its like"
    return "; keep these axes whole"


def _accepted(full: Mapping[str, Any], layout: Layout, moved: Mapping[str, int]) -> dict[str, Any]:
    """The new values of entries that make these sizes, or none where stock code refuses them."""
    try:
        values = new_values(layout, full, moved)
        read_config(paths.put(full, values))
        build(paths.put(full, values))
    except (PlanError, CheckpointError):
        return {}
    return values


def _rescaled(layout: Layout, moved: Mapping[str, int], rescaled: Mapping[str, str]) -> dict[str, float]:
    """Constant -> by what it may be multiplied: the weights make up for that."""
    return {c: math.sqrt(moved[a] / layout.axes[a].size) for c, a in rescaled.items() if a in moved}


def compare_constants(
    layout: Layout,
    full: Mapping[str, Any],
    module: nn.Module,
    changes: Mapping[str, Any],
    rescaled: Mapping[str, float],
) -> None:
    """See that constants such as 1/sqrt(head_dim) stay as they were, unless the weights make up for them.

    Raises:
        PlanError: one does not.
    """
    paths_ = [p for e in layout.entries if e.scales for p in (e.path, *e.together) if p in changes]
    constants = scales.moved(build(full), module, rescaled) if paths_ else ()
    if constants:
        old = ", ".join(f"{p} = {paths.get(full, p)}" for p in paths_)
        raise PlanError(
            f"with {_values({p: changes[p] for p in paths_})} instead of {old} the stock code changes the constant "
            f"{constants[0]}, so that the weights that stay would compute something else; keep the axes that "
            f"'{paths_[0]}' sets whole, and cut others, such as heads or neurons"
        )


def compare_shapes(
    expected: Mapping[str, Pattern],
    actual: Mapping[str, tuple[int, ...]],
    changes: Mapping[str, Any],
    moved: Mapping[str, int],
) -> None:
    """See that a build has the shapes that a plan leaves.

    Raises:
        PlanError: it has not.
    """
    for tensor, pattern in expected.items():
        made = shape(pattern, {})
        if actual.get(tensor) != made:
            found = list(actual[tensor]) if tensor in actual else "no such tensor"
            raise PlanError(
                f"no stock config holds this plan: it leaves {tensor} with {list(made)}, while "
                f"{_values(changes)} makes it {found}; "
                f"{_advice(moved)}"
            )
    extra = [t for t in actual if t not in expected]
    if extra and not all(_tied(t, expected, actual) for t in extra):
        raise PlanError(
            f"with {_values(changes)} the stock model needs {extra[0]}, which the plan does not leave; keep "
            f"the block it is in"
        )


def _tied(tensor: str, expected: Mapping[str, Pattern], actual: Mapping[str, tuple[int, ...]]) -> bool:
    return tensor in actual and any(shape(p, {}) == actual[tensor] for p in expected.values())


def compare_patterns(
    expected: Mapping[str, Pattern],
    new: Mapping[str, Any],
    module: nn.Module,
    derive: Derive,
    changes: Mapping[str, Any],
    moved: Mapping[str, int],
) -> None:
    """See that a build groups every dimension as a plan leaves it, by a new trace.

    Raises:
        PlanError: it does not, or cannot be traced.
    """
    try:
        found = derive(new, module)
    except LayoutError as error:
        raise PlanError(
            f"the model with {_values(changes)} cannot be traced, so the plan is unproved: {error}"
        ) from error
    # A tied tensor may be kept under one of its names in the files and under another in the module.
    tied = {name: found.patterns[kept] for name, kept in found.aliases.items() if kept in found.patterns}
    differs = alike.same(expected, {**tied, **found.patterns})
    if differs:
        raise PlanError(
            f"no stock config holds this plan: with {_values(changes)} the shapes fit, but the stock code "
            f"groups {differs} otherwise; "
            f"{_advice(moved)}"
        )


def _values(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{p} = {v}" for p, v in changes.items()) or "the config as it is"


def _advice(moved: Mapping[str, int]) -> str:
    few = ", ".join(f"'{a}'" for a in list(moved)[:3])
    return f"keep {few or 'the axes'} whole, or cut the axes that share an entry by the same fraction"


def as_given(config: Mapping[str, Any], full: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The given config with only what changed, and with what would else be derived anew from what changed."""
    out = dict(config)
    for key, value in new.items():
        if full.get(key) != value or (key in config and config[key] != value and full.get(key) == config[key]):
            out[key] = value
    read = full_config(out)
    differ = {key: value for key, value in new.items() if read.get(key) != value}
    derived = {key for key in differ if read.get(key) is None}
    out |= {key: value for key, value in differ.items() if key not in derived}
    if derived and not same_model(build(full_config(out)), build(new)):
        out |= {key: differ[key] for key in derived}
    return out
