"""What a plan does to each tensor, reduced to one form: places that stay, then zeros, or else new values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from penjing.core import Blocks, Keep, Layout, Mask, Pattern, Plan, Update
from penjing.core.pattern import cut, kept_positions, names, shape
from penjing.errors import PlanError, nearest

Places = tuple[Tensor | None, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How one tensor of the result is made.

    `places` are, per dimension, the positions of the stored tensor that stay (int64, ascending), or None for all.
    `values` replace what is stored, in the shape of the result. `kept` is False where the result is zero. All are
    in the numbering of the result, so several edits of one tensor are one recipe.
    """

    source: str
    stored: tuple[int, ...]
    pattern: Pattern | None
    places: Places
    values: Tensor | None = None
    kept: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return tuple(n if p is None else len(p) for n, p in zip(self.stored, self.places, strict=True))

    @property
    def untouched(self) -> bool:
        """Whether the result is the stored tensor, byte for byte."""
        return self.values is None and self.kept is None and all(p is None for p in self.places)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The tensors of the result by their new names, the sizes of the axes that are left, and the blocks kept.

    `blocks` maps the axis of each shortened list of blocks to the old numbers that stay.
    """

    recipes: Mapping[str, Recipe]
    sizes: Mapping[str, int]
    blocks: Mapping[str, tuple[int, ...]]
    dropped: tuple[str, ...]
    renamed: Mapping[str, str]


def work_out(layout: Layout, shapes: Mapping[str, tuple[int, ...]], plan: Plan) -> Outcome:
    """Carry a plan out on shapes alone.

    A plan speaks of axes and tensors by the names of the model before it, also after blocks were dropped; units are
    numbered as the edits before leave them. `shapes` are those of the stored tensors.

    Raises:
        PlanError: an edit does not fit the model at its point of the plan.
    """
    recipes = {n: Recipe(source=n, stored=tuple(s), pattern=_pattern(layout, n, s), places=(None,) * len(s))
               for n, s in shapes.items()}  # fmt: skip
    sizes = dict(layout.sizes)
    blocks = {b.axis: tuple(range(b.size)) for b in layout.blocks}
    for edit in plan:
        if isinstance(edit, Keep):
            if edit.axis in blocks:
                check_units(edit, len(blocks[edit.axis]))
                blocks[edit.axis] = tuple(blocks[edit.axis][u] for u in edit.units)
            else:
                _keep(layout, recipes, sizes, edit)
        else:
            name = _tensor(layout, recipes, edit.tensor)
            recipes[name] = _mask(recipes[name], edit) if isinstance(edit, Mask) else _update(recipes[name], edit)
    return _renumber(layout, recipes, sizes, blocks)


def check_units(edit: Keep, size: int, least: int = 1) -> None:
    """Refuse units that are none, too few, out of range, twice, or out of order.

    Raises:
        PlanError: they are.
    """
    units, name = edit.units, edit.axis
    if not units:
        raise PlanError(f"the plan keeps no unit of {name}; keep at least {least}")
    if len(units) < least:
        raise PlanError(f"the plan keeps {len(units)} units of {name}, which needs at least {least} to run; keep more")
    wrong = next((u for u in units if not 0 <= u < size), None)
    if wrong is not None:
        raise PlanError(
            f"the plan keeps unit {wrong} of {name}, which has {size} at this point; units go from 0 to {size - 1}"
        )
    falls = next(((a, b) for a, b in pairwise(units) if b <= a), None)
    if falls is not None:
        a, b = falls
        how = "twice" if a == b else f"after unit {a}"
        raise PlanError(f"the plan keeps unit {b} of {name} {how}; give each unit once, ascending")


def _pattern(layout: Layout, name: str, stored: tuple[int, ...]) -> Pattern | None:
    pattern = pattern_of(layout, name)
    if pattern is not None and shape(pattern, {}) != tuple(stored):
        raise PlanError(
            f"{name} is stored as {list(stored)} but the layout says {list(shape(pattern, {}))}; "
            "derive the layout from this checkpoint"
        )
    return pattern


def pattern_of(layout: Layout, name: str) -> Pattern | None:
    """The pattern of a tensor under any of its tied names, or None when the layout does not know it."""
    if name in layout.patterns:
        return layout.patterns[name]
    if layout.aliases.get(name) in layout.patterns:
        return layout.patterns[layout.aliases[name]]
    tied = [t for t, kept in layout.aliases.items() if kept == name and t in layout.patterns]
    return layout.patterns[tied[0]] if tied else None


def _tensor(layout: Layout, recipes: Mapping[str, Recipe], name: str) -> str:
    """The stored name of the tensor that an edit names."""
    tied = [layout.aliases.get(name, name), *(t for t, kept in layout.aliases.items() if kept == name)]
    for candidate in (name, *tied):
        if candidate in recipes:
            return candidate
    raise PlanError(f"the plan edits {name}, which the checkpoint does not have{nearest(name, recipes)}")


def _keep(layout: Layout, recipes: dict[str, Recipe], sizes: dict[str, int], edit: Keep) -> None:
    if edit.axis not in layout.axes:
        known = [*layout.axes, *(b.axis for b in layout.blocks)]
        raise PlanError(f"no axis is named '{edit.axis}'{nearest(edit.axis, known)}; this model has {layout.kinds()}")
    check_units(edit, sizes[edit.axis], layout.axes[edit.axis].least)
    units = torch.zeros(sizes[edit.axis], dtype=torch.bool)
    units[list(edit.units)] = True
    found = False
    for name, recipe in recipes.items():
        if recipe.pattern is not None and edit.axis in names(recipe.pattern):
            found = True
            recipes[name] = _select(recipe, edit.axis, units)
    if not found:
        raise PlanError(f"{edit.axis} occurs in no tensor of the checkpoint; derive the layout from this checkpoint")
    sizes[edit.axis] = len(edit.units)


def _select(recipe: Recipe, axis: str, units: Tensor) -> Recipe:
    pattern = recipe.pattern or ()
    places = kept_positions(pattern, {axis: units})
    joined = tuple(
        old if new is None else new if old is None else old[new] for old, new in zip(recipe.places, places, strict=True)
    )
    return replace(
        recipe,
        pattern=cut(pattern, {axis: int(units.sum())}),
        places=joined,
        values=_index(recipe.values, places),
        kept=_index(recipe.kept, places),
    )


def _index(tensor: Tensor | None, places: Places) -> Tensor | None:
    if tensor is None:
        return None
    for dim, place in enumerate(places):
        tensor = tensor if place is None else tensor.index_select(dim, place)
    return tensor


def _mask(recipe: Recipe, edit: Mask) -> Recipe:
    _check_shape(recipe, edit.tensor, edit.kept, "mask")
    if edit.kept.dtype != torch.bool:
        raise PlanError(f"the mask of {edit.tensor} is {edit.kept.dtype}; it must be bool, False for zeros")
    return replace(recipe, kept=edit.kept if recipe.kept is None else recipe.kept & edit.kept)


def _update(recipe: Recipe, edit: Update) -> Recipe:
    _check_shape(recipe, edit.tensor, edit.values, "update")
    return replace(recipe, values=edit.values, kept=None)


def _check_shape(recipe: Recipe, name: str, tensor: Tensor, what: str) -> None:
    if tuple(tensor.shape) != recipe.shape:
        raise PlanError(
            f"the {what} of {name} has shape {list(tensor.shape)}; at this point of the plan the tensor has "
            f"{list(recipe.shape)}; make the {what} after the cuts that come before it"
        )


def _renumber(
    layout: Layout, recipes: dict[str, Recipe], sizes: dict[str, int], kept: dict[str, tuple[int, ...]]
) -> Outcome:
    """Drop and rename the tensors of dropped blocks; forget axes that have gone with them."""
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
    final = {a: s for a, s in sizes.items() if a not in dead}
    final |= {b.axis: len(kept[b.axis]) for b in layout.blocks}
    return Outcome(
        recipes=out,
        sizes=final,
        blocks={a: kept[a] for a in changed},
        dropped=tuple(dropped),
        renamed={o: n for o, n in renamed.items() if o != n},
    )


def _block_names(block: Blocks, kept: tuple[int, ...], known: Mapping[str, Recipe]) -> tuple[dict[str, str], list[str]]:
    """(old name -> new name of tensors in blocks that stay, names of those that go)."""
    words = block.path.split(".")
    for start in range(len(words)):  # a file may leave out the name of the outer module
        tail = re.escape(".".join(words[start:]))
        found = {n: m for n in known if (m := re.match(rf"((?:.*\.)?{tail}\.)(\d+)(\..*)$", n))}
        if found:
            place = {old: new for new, old in enumerate(kept)}
            renames = {n: f"{m[1]}{place[int(m[2])]}{m[3]}" for n, m in found.items() if int(m[2]) in place}
            return renames, [n for n in found if n not in renames]
    raise PlanError(f"no stored tensor lies under '{block.path}', so its blocks cannot be dropped; check the layout")
