"""Which axes a method may touch."""

from collections.abc import Sequence

from penjing.core import Axis, Layout
from penjing.core.layout import State, matches
from penjing.errors import LayoutError


def choose(layout: Layout, axes: str, *, protect: Sequence[str] = (), allow: Sequence[str] = ()) -> list[Axis]:
    """The axes that `axes` names (globs, commas separate), without those that `protect` names.

    Only free axes are chosen; `allow` names further states ("sensitive"), whose cutting differs from masking.

    Raises:
        LayoutError: nothing matches, everything that matches is protected, or a glob of `protect` matches nothing.
    """
    states: tuple[State, ...] = ("free", "sensitive") if "sensitive" in allow else ("free",)
    found = layout.match(axes, states=states)
    for glob in protect:
        layout.match(glob, states=("free", "sensitive", "uncut"))
    left = [a for a in found if not any(matches(a.name, g) for g in protect)]
    if not left:
        raise LayoutError(
            f"'{axes}' matches {len(found)} axes and all are protected by '{', '.join(protect)}'; protect fewer"
        )
    return left
