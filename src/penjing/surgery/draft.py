"""A model on paper while a plan is carried out: what each tensor is by now, and how long each axis."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from penjing.core import Layout, Pattern, Spec
from penjing.core.layout import State
from penjing.core.pattern import shape
from penjing.errors import PlanError, nearest
from penjing.surgery.recipe import Recipe

ANY: frozenset[State] = frozenset({"free", "sensitive", "uncut"})


@dataclass(kw_only=True)
class Draft:
    """What the edits so far have made; carriers check an edit against it, and then change it.

    `recipes` are by the names of the stored tensors; `sizes` of the axes and `blocks` (the old numbers that stay, by
    the axis of each list) are as they are at this point of the plan. Axes may be cut whose state is in `may_cut`.
    `untied` maps each tensor that is stored apart by now to the one that it was tied to. `rescaled` maps constants of
    the stock code to the axis whose root they follow: weights were rescaled, so that they may. `steady` are the axes
    whose norms go on dividing by the width that they had, however the axis is cut. `modules` are those that stand in
    for others by now, by their paths. `layout` is that of the model with them in it.
    """

    layout: Layout
    recipes: dict[str, Recipe]
    sizes: dict[str, int]
    blocks: dict[str, tuple[int, ...]]
    may_cut: frozenset[State] = field(default=ANY)
    untied: dict[str, str] = field(default_factory=dict)
    rescaled: dict[str, str] = field(default_factory=dict)
    steady: set[str] = field(default_factory=set)
    modules: dict[str, Spec] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: Layout, shapes: Mapping[str, tuple[int, ...]], may_cut: frozenset[State] = ANY) -> "Draft":
        """The model before any edit; `shapes` are those of the stored tensors.

        Raises:
            PlanError: the layout is not of these tensors.
        """
        return cls(
            layout=layout,
            recipes={n: _whole(layout, n, tuple(s)) for n, s in shapes.items()},
            sizes=dict(layout.sizes),
            blocks={b.axis: tuple(range(b.size)) for b in layout.blocks},
            may_cut=may_cut,
        )

    def stored(self, name: str) -> str:
        """The stored name of the tensor that an edit names.

        Raises:
            PlanError: the checkpoint has no such tensor.
        """
        aliases = self.layout.aliases
        tied = [aliases.get(name, name), *(t for t, kept in aliases.items() if kept == name)]
        for candidate in (name, *tied):
            if candidate in self.recipes:
                return candidate
        raise PlanError(f"the plan edits {name}, which the checkpoint does not have{nearest(name, self.recipes)}")

    def require_shape(self, name: str, tensor: Tensor, what: str) -> None:
        """Refuse what is not of the shape that the tensor `name` has by now.

        Raises:
            PlanError: it is of another shape, or the checkpoint has no such tensor.
        """
        now = self.recipes[self.stored(name)].shape
        if tuple(tensor.shape) != now:
            raise PlanError(
                f"the {what} of {name} has shape {list(tensor.shape)}; at this point of the plan the tensor has "
                f"{list(now)}; make the {what} after the cuts that come before it"
            )


def pattern_of(layout: Layout, name: str) -> Pattern | None:
    """The pattern of a tensor under any of its tied names, or None when the layout does not know it."""
    if name in layout.patterns:
        return layout.patterns[name]
    if layout.aliases.get(name) in layout.patterns:
        return layout.patterns[layout.aliases[name]]
    tied = [t for t, kept in layout.aliases.items() if kept == name and t in layout.patterns]
    return layout.patterns[tied[0]] if tied else None


def _whole(layout: Layout, name: str, stored: tuple[int, ...]) -> Recipe:
    pattern = pattern_of(layout, name)
    if pattern is not None and shape(pattern, {}) != stored:
        raise PlanError(
            f"{name} is stored as {list(stored)} but the layout says {list(shape(pattern, {}))}; "
            "derive the layout from this checkpoint"
        )
    return Recipe(source=name, stored=stored, pattern=pattern, places=(None,) * len(stored))
