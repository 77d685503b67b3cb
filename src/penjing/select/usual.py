"""Which axes are cut where none are named: chosen from the layout, never by the name of a family."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from penjing.core import Axis, Layout
from penjing.errors import LayoutError

FIRST = (("neurons",), ("channels",), ("experts",), ("heads", "queries"))
"""Kinds in the order in which they are taken; the first that can be cut is cut, and after these any other."""

ATTENTION = frozenset({"heads", "queries", "head_dims", "value_dims"})


def usual(layout: Layout) -> list[Axis]:
    """The axes to cut where nobody says which: free ones, and with a config those that its entries can hold.

    The neurons of MLPs; beside them, in a model without attention, the channels of convolutions; where there are none
    of these, experts, then heads, then whatever else is free.

    Raises:
        LayoutError: no axis is free, or no config entry holds another size of any that is.
    """
    free = [a for a in layout.axes.values() if a.state == "free" and a.size > max(1, a.least)]
    if not free:
        raise LayoutError(
            f"no axis of this model is free{_reason(layout)}; 'penjing look' tells of each axis why, --allow-sensitive "
            "with --axes cuts those whose cut differs from masking"
        )
    held = [a for a in free if a.name in holdable(layout, free)]
    if not held:
        some = ", ".join(dict.fromkeys(a.kind for a in free))
        raise LayoutError(
            f"this model has {len(free)} free axes ({some}), and no config entry holds another size of any of them by "
            "itself, so no stock loader could open the result; let penjing.load open it (--opens-with penjing, "
            "opens_with='penjing'), or cut the module in memory: stock=False in penjing.apply"
        )
    kinds = dict.fromkeys(a.kind for a in held)
    attention = any(a.kind in ATTENTION for a in layout.axes.values())
    if not attention and {"neurons", "channels"} <= kinds.keys():
        return [a for a in held if a.kind in ("neurons", "channels")]
    rest = sorted(kinds, key=lambda k: k == "head_dims")  # scores are mostly scaled by their width: rarely held alone
    for wanted in (*FIRST, *((k,) for k in rest)):
        found = next((k for k in wanted if k in kinds), None)
        if found is not None:
            return [a for a in held if a.kind == found]
    return held


def by_kind(axes: Sequence[Axis]) -> str:
    """The axes for people, by kind: "neurons (24 axes), channels (3 axes)"."""
    counts: dict[str, int] = {}
    for axis in axes:
        counts[axis.kind] = counts.get(axis.kind, 0) + 1
    return ", ".join(f"{kind} ({n} {'axis' if n == 1 else 'axes'})" for kind, n in counts.items())


def holdable(layout: Layout, axes: Sequence[Axis]) -> set[str]:
    """The names of the axes that can shrink, those of one kind alike, while config entries hold all others as they are.

    Without entries (a module of one's own) there is nothing to hold, and all can.
    """
    if not layout.entries:
        return {a.name for a in axes}
    out: set[str] = set()
    for kind in dict.fromkeys(a.kind for a in axes):
        mine = [a for a in axes if a.kind == kind and a.entries]
        if _solved(layout, [a.name for a in mine]):
            out |= {a.name for a in mine}
            continue
        groups: dict[tuple[str, ...], list[str]] = {}
        for axis in mine:
            groups.setdefault(axis.entries, []).append(axis.name)
        out |= {name for group in groups.values() if _solved(layout, group) for name in group}
    return out


def beyond_entries(layout: Layout) -> Layout:
    """The layout to plan with where `penjing.load` may open the result: what no entry holds, layers are told of.

    Only where entries hold no free axis at all are they left out of account.
    """
    free = [a for a in layout.axes.values() if a.state == "free"]
    if not layout.entries or not free or holdable(layout, free):
        return layout
    axes = {n: replace(a, entries=()) for n, a in layout.axes.items()}
    return replace(layout, axes=axes, entries=())


def _solved(layout: Layout, names: Sequence[str]) -> bool:
    """Whether some powers of the entries shrink exactly these axes by one factor, and no other."""
    if not names:
        return False
    entries = [e for e in layout.entries if not (e.whole and e.value <= 1)]  # nothing less is a whole number
    rows = sorted({axis for e in entries for axis in e.moves})
    if not rows:
        return False
    powers = torch.tensor([[e.moves.get(a, 0.0) for e in entries] for a in rows], dtype=torch.float64)
    wanted = torch.tensor([[float(a in set(names))] for a in rows], dtype=torch.float64)
    found = torch.linalg.lstsq(powers, wanted, driver="gelsd").solution
    return set(names) <= set(rows) and bool((powers @ found - wanted).abs().max() < 1e-6)


def _reason(layout: Layout) -> str:
    """Why the axis that would be taken first is not free."""
    kinds = [k for group in FIRST for k in group]
    ranked = sorted(layout.axes.values(), key=lambda a: kinds.index(a.kind) if a.kind in kinds else len(kinds))
    such = next((a for a in ranked if a.reason), None)
    return f" (as {such.name}: {such.reason})" if such is not None else ""
