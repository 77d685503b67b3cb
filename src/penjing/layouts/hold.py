"""The config that holds other sizes of the axes, proved before anything is written."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from penjing.core import Axis, Blocks, Entry, Layout, Pattern
from penjing.core.pattern import cut, names, shape
from penjing.errors import CheckpointError, LayoutError, PlanError
from penjing.layouts import alike, counts, paths
from penjing.layouts.entries import shapes_of
from penjing.layouts.stock import build, full_config

Derive = Callable[[Mapping[str, Any], nn.Module], Layout]
Kept = Mapping[str, Sequence[int]]
MOST = 10
"""With more entries than this, all are solved for at once instead of the fewest that do."""


def held(
    config: Mapping[str, Any], layout: Layout, sizes: Mapping[str, int], derive: Derive, kept_blocks: Kept | None = None
) -> dict[str, Any]:
    """The config whose stock model has these sizes of axes, all others as they are.

    `layout` has the names of the stock model; `kept_blocks` tells which blocks of each block axis stay (the first
    ones, unless told). Entries are solved for in logarithms, the model is built on `meta`, and its tensors are
    compared with the plan's: shapes first, then how every dimension is grouped, by a new trace.

    Raises:
        PlanError: no stock config holds these sizes; the message names the entry, the sizes and the nearest that does.
        LayoutError: an axis is not known.
    """
    full = full_config(config)
    wanted = {a: int(n) for a, n in sizes.items() if n != layout.axis(a).size}
    kept = _kept_blocks(layout, wanted, kept_blocks or {})
    _check_least(layout, wanted)
    moved = {a: n for a, n in wanted.items() if all(a != b.axis for b in layout.blocks)}
    changes = _solve(layout, full, moved, kept)
    new = _without_blocks(paths.put(full, changes), layout, kept)
    module = _build(new, full, layout, changes, moved)
    expected = _expected(layout, moved, kept)
    _compare_shapes(expected, shapes_of(module), changes, moved)
    if moved:
        _compare_patterns(expected, new, module, derive, changes, moved)
    return _as_given(config, full, new)


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


def _solve(layout: Layout, full: Mapping[str, Any], moved: Mapping[str, int], kept: Kept) -> dict[str, Any]:
    """New values of the config entries that make the axes have their sizes."""
    gone = _gone(layout, kept)
    entries = _connected(layout.entries, moved)
    for axis in moved:
        if not any(axis in e.moves for e in entries):
            raise PlanError(
                f"no config entry of this model holds another size of '{axis}' than {layout.axes[axis].size}; "
                "leave it whole, or write for penjing.load() with a per-layer config"
            )
    if not entries:
        return {}
    axes = sorted({a for e in entries for a in e.moves if a not in gone and a in layout.axes})
    new = {a: moved.get(a, layout.axes[a].size) for a in axes}
    _check_equal(layout, entries, new)
    factors = _factors(layout, entries, axes, new)
    changes: dict[str, Any] = {}
    for entry, factor in zip(entries, factors, strict=True):
        value = paths.get(full, entry.path)
        target = value * factor
        if abs(target - value) > 1e-6 * abs(value):
            changes[entry.path] = round(target) if isinstance(value, int) else float(f"{target:.12g}")
    return changes


def _connected(entries: Sequence[Entry], moved: Mapping[str, int]) -> list[Entry]:
    """The entries that move an axis of the plan, or an axis that such an entry moves as well, and so on."""
    reached, found = set(moved), []
    while True:
        more = [e for e in entries if e not in found and any(a in reached for a in e.moves)]
        if not more:
            return [e for e in entries if e in found]
        found += more
        reached |= {a for e in more for a in e.moves}


def _factors(layout: Layout, entries: Sequence[Entry], axes: Sequence[str], new: Mapping[str, int]) -> list[float]:
    """By how much each entry changes: the fewest entries whose powers make every ratio of sizes, in logarithms."""
    ratios = torch.tensor([new[a] / layout.axes[a].size for a in axes], dtype=torch.float64).log()
    powers = torch.tensor([[e.moves.get(a, 0.0) for e in entries] for a in axes], dtype=torch.float64)
    if len(entries) <= MOST:
        for count in range(1, len(entries) + 1):
            for chosen in itertools.combinations(range(len(entries)), count):
                part = powers[:, list(chosen)]
                solution = torch.linalg.lstsq(part, ratios[:, None], driver="gelsd").solution[:, 0]
                if bool((part @ solution - ratios).abs().max() < 1e-6):
                    out = torch.zeros(len(entries), dtype=torch.float64)
                    out[list(chosen)] = solution
                    return out.exp().tolist()
    solution = torch.linalg.lstsq(powers, ratios[:, None], driver="gelsd").solution[:, 0]
    return solution.exp().tolist()


def _check_equal(layout: Layout, entries: Sequence[Entry], new: Mapping[str, int]) -> None:
    """Axes that nothing but one entry moves, by the same power, shrink alike."""
    for entry in entries:
        alone = [a for a in entry.moves if a in new and layout.axes[a].entries == (entry.path,)]
        for other in alone[1:]:
            first = alone[0]
            if entry.moves[first] != entry.moves[other]:
                continue
            one, two = layout.axes[first], layout.axes[other]
            if new[first] * two.size != new[other] * one.size:
                raise PlanError(_unequal(entry.path, (one, new[first]), (two, new[other])))


def _unequal(path: str, one: tuple[Axis, int], two: tuple[Axis, int]) -> str:
    (a, n), (b, m) = one, two
    if a.kind == b.kind and a.size == b.size:
        return (
            f"config entry '{path}' holds one size, but the plan leaves {n} in '{a.name}' and {m} in '{b.name}'; "
            f"keep the same number in both, such as {max(n, m)}"
        )
    return (
        f"config entry '{path}' sets '{a.name}' ({a.size}) and '{b.name}' ({b.size}) together, but the "
        f"plan leaves {n} and {m}; "
        f"cut both by the same fraction, or neither"
    )


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
    """Advice: the nearest sizes that can be built, trying one changed entry at a time."""
    for path, value in changes.items():
        if not isinstance(value, int):
            continue
        old = paths.get(full, path)
        entry = next(e for e in layout.entries if e.path == path)
        for step in sorted(range(1, int(old) + 1), key=lambda n: (abs(n - value), -n)):
            if step == value:
                continue
            try:
                build(paths.put(full, {**changes, path: step}))
            except CheckpointError:
                continue
            axis = next((a for a in moved if a in entry.moves), "")
            return f"; the nearest that opens is {path} = {step}: keep as many in '{axis}' as it takes"
    return "; keep these axes whole"


def _compare_shapes(
    expected: Mapping[str, Pattern],
    actual: Mapping[str, tuple[int, ...]],
    changes: Mapping[str, Any],
    moved: Mapping[str, int],
) -> None:
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


def _compare_patterns(
    expected: Mapping[str, Pattern],
    new: Mapping[str, Any],
    module: nn.Module,
    derive: Derive,
    changes: Mapping[str, Any],
    moved: Mapping[str, int],
) -> None:
    try:
        found = derive(new, module)
    except LayoutError as error:
        raise PlanError(
            f"the model with {_values(changes)} cannot be traced, so the plan is unproved: {error}"
        ) from error
    differs = alike.same(expected, found.patterns)
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


def _as_given(config: Mapping[str, Any], full: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The given config with only what changed; entries that stock code writes out by default stay unwritten."""
    out = dict(config)
    for key, value in new.items():
        if full.get(key) != value or (key in config and config[key] != value and full.get(key) == config[key]):
            out[key] = value
    return out
