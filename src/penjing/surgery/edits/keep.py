"""Cutting an axis, or dropping blocks, in a draft."""

from itertools import pairwise

import torch

from penjing.core import Keep
from penjing.core.pattern import names
from penjing.errors import PlanError, nearest
from penjing.surgery.draft import Draft


def check(edit: Keep, draft: Draft) -> None:
    """See that the axis is there, may be cut, and has the units.

    Raises:
        PlanError: it is not so.
    """
    if edit.axis in draft.layout.axes:
        _check_state(edit, draft)
    if edit.axis in draft.blocks:
        _check_units(edit, len(draft.blocks[edit.axis]))
        return
    if edit.axis not in draft.layout.axes:
        known = [*draft.layout.axes, *draft.blocks]
        found = f"no axis is named '{edit.axis}'{nearest(edit.axis, known)}"
        raise PlanError(f"{found}; this model has {draft.layout.kinds()}")
    _check_units(edit, draft.sizes[edit.axis], draft.layout.axes[edit.axis].least)
    if not any(r.pattern is not None and edit.axis in names(r.pattern) for r in draft.recipes.values()):
        raise PlanError(f"{edit.axis} occurs in no tensor of the checkpoint; derive the layout from this checkpoint")


def apply(edit: Keep, draft: Draft) -> None:
    """Keep the units wherever the axis occurs."""
    if edit.axis in draft.blocks:
        draft.blocks[edit.axis] = tuple(draft.blocks[edit.axis][u] for u in edit.units)
        return
    units = torch.zeros(draft.sizes[edit.axis], dtype=torch.bool)
    units[list(edit.units)] = True
    for name, recipe in draft.recipes.items():
        if recipe.pattern is not None and edit.axis in names(recipe.pattern):
            draft.recipes[name] = recipe.select(edit.axis, units)
    draft.sizes[edit.axis] = len(edit.units)


def _check_state(edit: Keep, draft: Draft) -> None:
    axis = draft.layout.axes[edit.axis]
    # Whoever drops a block says so by name, and no block has a mask to equal.
    if axis.state in draft.may_cut or (axis.state == "sensitive" and axis.name in {*draft.blocks, *draft.steady}):
        return
    if axis.state == "uncut":
        why = axis.reason or "the layout says so"
        raise PlanError(f"{axis.name} is not to be cut: {why}; leave it out of the plan")
    raise PlanError(
        f"cutting {axis.name} does not equal masking it: {axis.reason}; leave it out of the plan, "
        "or allow sensitive axes if the method repairs what this changes"
    )


def _check_units(edit: Keep, size: int, least: int = 1) -> None:
    """Refuse units that are none, too few, out of range, twice, or out of order."""
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
