"""Which axes a method may touch."""

from collections.abc import Sequence

from penjing.core import Axis, Layout
from penjing.core.layout import State, globs_of, matches
from penjing.errors import LayoutError
from penjing.select.usual import by_kind, usual


def choose(
    layout: Layout, axes: str | None, *, protect: str | Sequence[str] = (), allow: Sequence[str] = ()
) -> list[Axis]:
    """The axes that `axes` names (globs, commas separate; None: the usual ones), without those that `protect` names.

    Only free axes are chosen; `allow` names further states ("sensitive"), whose cutting differs from masking.

    Raises:
        LayoutError: nothing matches, everything that matches is protected, or a glob of `protect` matches nothing.
    """
    states: tuple[State, ...] = ("free", "sensitive") if "sensitive" in allow else ("free",)
    found = usual(layout) if axes is None else layout.match(axes, states=states)
    spared = globs_of(protect)
    for glob in spared:
        layout.match(glob, states=("free", "sensitive", "uncut"))
    left = [a for a in found if not any(matches(a.name, g) for g in spared)]
    if not left:
        asked, why = axes or by_kind(found), ", ".join(spared)
        raise LayoutError(f"'{asked}' matches {len(found)} axes and all are protected by '{why}'; protect fewer")
    return left
