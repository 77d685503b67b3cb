"""A plan carried out on shapes alone: what every tensor of the result is made of."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penjing.core import Blocks, Layout, Plan, Spec
from penjing.core.layout import State
from penjing.core.pattern import names
from penjing.core.spec import Value
from penjing.errors import PlanError
from penjing.nn import kind_of
from penjing.surgery.draft import ANY, Draft
from penjing.surgery.edits import carrier
from penjing.surgery.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The tensors of the result by their new names, the sizes of the axes that are left, and the blocks kept.

    `blocks` maps the axis of each shortened list of blocks to the old numbers that stay. For `untied` and `rescaled`
    see `Draft`; names are new ones. `modules` stand in for others, by their old paths; `paths` maps these to the new
    ones, without those that were dropped. `layout` is that of the model with these modules, blocks and sizes as before.
    """

    layout: Layout

    recipes: Mapping[str, Recipe]
    sizes: Mapping[str, int]
    blocks: Mapping[str, tuple[int, ...]]
    dropped: tuple[str, ...]
    renamed: Mapping[str, str]
    untied: Mapping[str, str] = field(default_factory=dict)
    rescaled: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, Spec] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)


def work_out(
    layout: Layout, shapes: Mapping[str, tuple[int, ...]], plan: Plan, *, may_cut: frozenset[State] = ANY
) -> Outcome:
    """Carry a plan out on shapes alone.

    A plan speaks of axes and tensors by the names of the model before it, also after blocks were dropped; units are
    numbered as the edits before leave them. `shapes` are those of the stored tensors; axes may be cut whose state is
    in `may_cut`.

    Raises:
        PlanError: an edit does not fit the model at its point of the plan, or cuts what may not be cut.
    """
    draft = Draft.of(layout, shapes, may_cut)
    for edit in plan:
        by = carrier(edit)
        by.check(edit, draft)
        by.apply(edit, draft)
    return _renumber(draft)


def sized(specs: Mapping[str, Spec], recipes: Mapping[str, Recipe]) -> dict[str, Spec]:
    """What stands in for modules, with the sizes that its own axes have in the tensors of the result.

    Raises:
        PlanError: a tensor of one is not there.
    """
    out: dict[str, Spec] = {}
    for path, spec in specs.items():
        found: dict[str, Value] = {}
        for own, (tensor, dim) in kind_of(spec).AXES.items():
            if f"{path}.{tensor}" not in recipes:
                raise PlanError(
                    f"{path} is a '{spec.kind}', and of the plan's result there is no {path}.{tensor}; leave what lies "
                    "in it as it is, or put another module in the place of all of it"
                )
            found[own] = recipes[f"{path}.{tensor}"].shape[dim]
        out[path] = Spec(spec.kind, {**spec.settings, **found})
    return out


def new_paths(layout: Layout, kept: Mapping[str, tuple[int, ...]], paths: Iterable[str]) -> dict[str, str]:
    """The paths of modules once only some blocks stay, without those that go with theirs; `kept` by the lists' axes."""
    out = {path: f"{path}." for path in paths}
    for block in layout.blocks:
        if len(kept.get(block.axis, range(block.size))) < block.size:
            for path, now in list(out.items()):
                renames, gone = _names_in(block, kept[block.axis], [now])
                out[path] = next(iter(renames.values()), now)
                if gone:
                    del out[path]
    return {path: now[:-1] for path, now in out.items()}


def _renumber(draft: Draft) -> Outcome:
    """Drop and rename the tensors of dropped blocks; forget axes that have gone with them."""
    layout, recipes, kept = draft.layout, draft.recipes, draft.blocks
    renamed: dict[str, str] = {}
    dropped: list[str] = []
    changed = {b.axis: b for b in layout.blocks if len(kept[b.axis]) < b.size}
    for block in changed.values():
        renames, gone = _block_names(block, kept[block.axis], recipes)
        renamed |= renames
        dropped += gone
    out = {renamed.get(n, n): r for n, r in recipes.items() if n not in set(dropped)}
    left = {a for r in out.values() if r.pattern is not None for a in names(r.pattern)}
    dead = {a for n in dropped for a in names(recipes[n].pattern or ())} - left
    dead |= draft.sizes.keys() - layout.axes.keys()
    final = {a: s for a, s in draft.sizes.items() if a not in dead}
    final |= {b.axis: len(kept[b.axis]) for b in layout.blocks}
    return Outcome(
        recipes=out,
        sizes=final,
        blocks={a: kept[a] for a in changed},
        dropped=tuple(dropped),
        renamed={o: n for o, n in renamed.items() if o != n},
        untied={renamed.get(n, n): s for n, s in draft.untied.items() if n not in set(dropped)},
        rescaled=dict(draft.rescaled),
        modules=dict(draft.modules),
        paths=new_paths(layout, kept, draft.modules),
        layout=layout,
    )


def _block_names(block: Blocks, kept: tuple[int, ...], known: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    renames, gone = _names_in(block, kept, known)
    if not renames and not gone:
        what = f"no stored tensor lies under '{block.path}'"
        raise PlanError(f"{what}, so its blocks cannot be dropped; check the layout")
    return renames, gone


def _names_in(block: Blocks, kept: tuple[int, ...], known: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """(old name -> new name of what is in blocks that stay, names of those that go)."""
    words = block.path.split(".")
    for start in range(len(words)):  # a file may leave out the name of the outer module
        tail = re.escape(".".join(words[start:]))
        found = {n: m for n in known if (m := re.match(rf"((?:.*\.)?{tail}\.)(\d+)(\..*)$", n))}
        if found:
            place = {old: new for new, old in enumerate(kept)}
            renames = {n: f"{m[1]}{place[int(m[2])]}{m[3]}" for n, m in found.items() if int(m[2]) in place}
            return renames, [n for n in found if n not in renames]
    return {}, []
