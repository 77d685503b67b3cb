"""The config that holds the result of a plan."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from penjing.core import Layout, Spec
from penjing.core.pattern import cut, leaves
from penjing.core.spec import shorter, specs_of, with_specs
from penjing.errors import PlanError
from penjing.layouts.config import paths, scales
from penjing.layouts.config.stock import build, full_config
from penjing.nn import kind_of
from penjing.surgery.loadable import heads_after, heads_factor, heads_step, refusal
from penjing.surgery.outcome import Outcome, new_paths, sized

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
    specs = specs_after(config, layout, outcome)
    base, of = with_specs(config, specs), outcome.layout
    sizes = {a: outcome.sizes[a] for a in of.axes if a in outcome.sizes}
    if outcome.blocks or outcome.untied or _parts(outcome):
        base = without_blocks(config, layout, outcome)
        base = _untied(base, outcome) if outcome.untied else base
        of = _derive(with_specs(base, specs_after(config, layout, outcome, whole=True)), outcome)
        sizes = _translate(of, outcome)
        base = with_specs(base, specs)
    of = _own_sized(of, specs, sizes)
    lists = {b.axis for b in layout.blocks}
    if not any(a in of.axes and n != of.axes[a].size for a, n in sizes.items() if a not in lists):
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


def _parts(outcome: Outcome) -> bool:
    """Whether a module makes several axes of what was one: then they have other names in the result."""
    return any(getattr(kind_of(spec), "PARTS", False) for spec in outcome.modules.values())


def specs_after(
    config: Mapping[str, Any], layout: Layout, outcome: Outcome, *, whole: bool = False
) -> dict[str, Spec]:
    """What stands in for modules of the result, under its own paths, with the sizes that it has by then.

    `whole` are the sizes that it had when it was put there.

    Raises:
        PlanError: the files lack a tensor of one.
    """
    before = specs_of(config)
    old = new_paths(layout, outcome.blocks, before)
    new = outcome.paths
    specs = {now: before[p] for p, now in old.items() if not any(f"{p}.".startswith(f"{m}.") for m in outcome.modules)}
    specs |= {new[p]: spec for p, spec in outcome.modules.items() if p in new}
    return specs if whole else sized(specs, outcome.recipes)


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
    kept = [outcome.blocks[b.axis] for b in layout.blocks if b.axis in outcome.blocks]
    return shorter(paths.put(config, changes), kept[0]) if kept else paths.put(config, changes)


def _derive(config: Mapping[str, Any], outcome: Outcome) -> Layout:
    from penjing.layouts import from_config

    whole = {n: tuple(r.origin(d)[0] for d in range(len(r.shape))) for n, r in outcome.recipes.items()}
    return from_config(config, stored=whole)


def _own_sized(layout: Layout, specs: Mapping[str, Spec], sizes: Mapping[str, int]) -> Layout:
    """The layout with the axes that inserted modules have of their own as long as they are in the result.

    No entry of the config holds these, but the settings of the modules.
    """
    places = [(f"{path}.{t}", dim) for path, spec in specs.items() for t, dim in kind_of(spec).AXES.values()]
    own = {leaf.name for t, dim in places if t in layout.patterns for leaf in leaves(layout.patterns[t][dim])}
    new = {a: sizes[a] for a in own if a in sizes}
    if not new:
        return layout
    axes = {a: replace(x, size=new[a]) if a in new else x for a, x in layout.axes.items()}
    return replace(layout, axes=axes, patterns={n: cut(p, new) for n, p in layout.patterns.items()})


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
