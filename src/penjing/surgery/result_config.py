"""The config that holds the result of a plan."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from penjing.core import Layout
from penjing.core.pattern import leaves
from penjing.errors import PlanError
from penjing.layouts.config import paths, scales
from penjing.layouts.config.stock import build, full_config
from penjing.surgery.loadable import heads_after, heads_factor, heads_step, refusal
from penjing.surgery.outcome import Outcome

ConfigOf = Callable[..., dict[str, Any]]
"""From (config, layout, sizes) to the config that holds the sizes, as `penjing.layouts.hold`."""


def hold_result(
    config: Mapping[str, Any], layout: Layout, outcome: Outcome, config_of: ConfigOf
) -> tuple[dict[str, Any], Layout, dict[str, int]]:
    """(new config, the layout that speaks of the result's blocks, the size of each of its axes).

    Without dropped blocks that layout is the one given.

    Raises:
        PlanError: no stock config holds the result.
    """
    base, of = dict(config), layout
    sizes = {a: outcome.sizes[a] for a in layout.axes if a in outcome.sizes}
    if outcome.blocks or outcome.untied:
        base = without_blocks(config, layout, outcome)
        base = _untied(base, outcome) if outcome.untied else base
        of = _derive(base, outcome)
        sizes = _translate(of, outcome)
    lists = {b.axis for b in layout.blocks}
    if not any(a in layout.axes and n != layout.axes[a].size for a, n in outcome.sizes.items() if a not in lists):
        return base, of, sizes
    known = refusal(
        heads_after(base, heads_factor(layout, outcome.sizes)), step=heads_step(layout, outcome.sizes)
    )
    width = any(layout.axes[a].kind == "residual" for a, n in outcome.sizes.items()
                if a in layout.axes and n != layout.axes[a].size)  # fmt: skip
    if known and not width:  # the table is of heads alone; with another width, building it tells
        raise PlanError(known)
    moved = {a: n for a, n in sizes.items() if n != of.axes[a].size and a not in {b.axis for b in of.blocks}}
    if moved and outcome.rescaled:
        config_of = partial(config_of, rescaled=outcome.rescaled)
    return (config_of(base, of, {**of.sizes, **moved}) if moved else base), of, sizes


def _untied(config: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """The config whose model stores apart what the plan unties, and is otherwise the same."""
    new = without_ties(config)
    before, after = build(config), build(new)
    state = after.state_dict(keep_vars=True)
    for name, twin in outcome.untied.items():
        if name not in state or state[name] is state.get(twin):
            raise PlanError(
                f"the plan needs {name} apart from {twin}, and stock code of '{config.get('model_type')}' ties them "
                "whatever its config says; leave the axis as it is"
            )
    constants = scales.moved(before, after)
    if constants:
        raise PlanError(
            f"the plan needs {next(iter(outcome.untied))} stored apart, and stock code then changes the constant "
            f"{constants[0]}; leave the axis as it is"
        )
    return new


def without_ties(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with every entry that ties embeddings turned off."""
    inner = {k: without_ties(v) for k, v in config.items() if isinstance(v, Mapping) and "tie_word_embeddings" in v}
    return {**config, **inner, "tie_word_embeddings": False}


def without_blocks(config: Mapping[str, Any], layout: Layout, outcome: Outcome) -> dict[str, Any]:
    """The config that counts fewer blocks, its per-block lists cut alike.

    Raises:
        PlanError: no config entry counts the blocks.
    """
    full: dict[str, Any] | None = None
    changes: dict[str, Any] = {}
    for block in layout.blocks:
        units = outcome.blocks.get(block.axis)
        if units is None:
            continue
        if not block.entry:
            raise PlanError(f"no config entry counts the blocks of {block.path}, so none can be dropped; keep all")
        changes[block.entry] = len(units)
        for path in block.lists:
            full = full_config(config) if full is None else full
            values = paths.get(full, path)
            if isinstance(values, list | tuple) and len(values) == block.size:
                changes[path] = [values[u] for u in units]
    return paths.put(config, changes)


def _derive(config: Mapping[str, Any], outcome: Outcome) -> Layout:
    from penjing.layouts import from_config

    return from_config(config, stored={n: r.stored for n, r in outcome.recipes.items()})


def _translate(layout: Layout, outcome: Outcome) -> dict[str, int]:
    """The sizes after the plan, under the names of a layout that was derived with fewer blocks."""
    sizes: dict[str, int] = {}
    for name, recipe in outcome.recipes.items():
        new, old = layout.patterns.get(name), recipe.pattern
        if new is None or old is None:
            continue
        theirs, ours = list(leaves(new)), list(leaves(old))
        if len(theirs) != len(ours):
            raise PlanError(f"{name} is made otherwise once blocks are dropped; drop blocks and cut axes in two steps")
        for a, b in zip(theirs, ours, strict=True):
            if a.name and sizes.setdefault(a.name, b.size) != b.size:
                raise PlanError(
                    f"{a.name} would have sizes {sizes[a.name]} and {b.size} once blocks are dropped; "
                    "keep as many of each"
                )
    return {a: sizes.get(a, axis.size) for a, axis in layout.axes.items()}
