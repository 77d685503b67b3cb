"""A method from a card and a score: what every criterion that looks at weights alone would otherwise repeat.

The card's `reads` says what the score is given:

- "writing rows" and "all rows": for each axis, the weights of its units in every tensor that writes them, or in every
  tensor: `score(rows)` is [units], from [units fan] each, float32, one after another: no two need be in memory;
- "nothing": `score(units, generator)` is [units];
- "weights": for each matrix, `score(rows)` is [outputs inputs], from [outputs inputs] as stored.

Higher is kept.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from penjing.core import Axis, Keep, Layout, Mask, Plan, View, Wants
from penjing.errors import BudgetError, PenjingError, nearest
from penjing.maths.sparse_masks import best_of_all, zeros_of
from penjing.maths.topk import best
from penjing.select.allocation import allocate
from penjing.select.axes import choose
from penjing.select.measured_sizes import MeasuredSizes, figure_of
from penjing.select.steps import steps_of
from penjing.select.uniform import sizes
from penjing.select.units import all_rows, written_rows
from penjing.select.weights import by_rows, density, group_of, matrices, zero_counts

ALLOCATIONS = ("uniform", "global", "adaptive", "sensitivity")
SCOPES = ("row", "tensor", "global")
ROWS = {"writing rows": written_rows, "all rows": all_rows}


def method_of(file: ModuleType) -> type:
    """The class of methods of a file that has a `CARD` and a `score` and no class of its own."""
    kind = {"weights": Weights, "nothing": Drawn}.get(file.CARD.reads, Units)
    facts = {"file": file, "__module__": file.__name__, "__doc__": kind.__doc__}
    return type("Method", (kind,), facts)


@dataclass(frozen=True, kw_only=True)
class Units:
    """Keep the units with the highest score; no data, unless sizes are to follow the running model.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive", such as the residual of a model with norms).
    `allocation` is how axes share a budget: "uniform" (each the same fraction: a stock checkpoint), "global" (one
    ranking over all axes of a kind), "adaptive" (the same, each axis's scores divided by their sum) or "sensitivity"
    (sizes by the divergence of the model's predictions that cutting each axis alone was measured to cause).
    """

    file: ClassVar[ModuleType]
    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    allocation: Literal["uniform", "global", "adaptive", "sensitivity"] = "uniform"

    def __post_init__(self) -> None:
        if self.allocation not in ALLOCATIONS:
            hint = nearest(self.allocation, ALLOCATIONS)
            raise PenjingError(
                f"allocation '{self.allocation}' is not known{hint}; choose one of {', '.join(ALLOCATIONS)}"
            )

    def wants(self, layout: Layout) -> Wants:
        """The running model, where sizes follow it."""
        return Wants(live=self.allocation == "sensitivity")

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis."""
        axes = choose(view.layout, self.axes, protect=self.protect, allow=self.allow)
        made = _made(self, view)
        if self.allocation == "uniform":
            # Sizes first: a budget that cannot be met is refused before any weight is read.
            counts = sizes(view.layout, axes, view.budget, model=view.model, multiple=self.multiple)
            return Plan(tuple(Keep(a, best(s, counts[a])) for a, s in self._scores(view, axes)), made=made)
        scores = dict(self._scores(view, axes))
        if self.allocation == "sensitivity":
            steps = steps_of(view.layout, axes, self.multiple)
            figure = figure_of(view.running(), scores, objective="divergence")
            measured = MeasuredSizes({a.name: [a] for a in axes}, steps, figure)
            counts = measured.sizes(view.layout, view.budget, view.model)
            made["measured"] = measured.facts(counts)
        else:
            counts = allocate(
                view.layout, axes, view.budget, scores, how=self.allocation, model=view.model, multiple=self.multiple
            )
        return Plan(tuple(Keep(a, best(s, counts[a])) for a, s in scores.items()), made=made)

    def _scores(self, view: View, axes: list[Axis]) -> Iterator[tuple[str, Tensor]]:
        rows = ROWS[self.file.CARD.reads]
        for axis in axes:
            yield axis.name, self.file.score(rows(view.model, view.layout, axis.name))


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Keep units by a score that looks at nothing; the same share of every axis, each axis drawn anew.

    `axes` and `protect` are globs of axis names, `multiple` the rounding of sizes (None: one that hardware likes),
    `allow` further states of axes that may be cut ("sensitive"), `seed` starts the draw (None: that of the plan).
    """

    file: ClassVar[ModuleType]
    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    seed: int | None = None

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        return Wants()

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis."""
        axes = choose(view.layout, self.axes, protect=self.protect, allow=self.allow)
        counts = sizes(view.layout, axes, view.budget, model=view.model, multiple=self.multiple)
        generator = torch.Generator().manual_seed(view.seed if self.seed is None else self.seed)
        keeps = [Keep(a.name, best(self.file.score(a.size, generator), counts[a.name])) for a in axes]
        return Plan(tuple(keeps), made=_made(self, view))


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Keep the single weights with the highest score; no data.

    `tensors` and `protect` are globs of tensors, `scope` says over what weights compete ("row": those of one output,
    "tensor", "global": all chosen tensors), `pattern` such as "2:4" keeps two of every four neighbouring inputs.
    """

    file: ClassVar[ModuleType]
    tensors: str = "*"
    protect: tuple[str, ...] = ()
    scope: str = "tensor"
    pattern: str = ""

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        return Wants()

    def plan(self, view: View) -> Plan:
        """Which weights stay in each tensor.

        Raises:
            BudgetError: there is no such scope.
        """
        if self.scope not in SCOPES:
            raise BudgetError(f"no scope is named '{self.scope}'{nearest(self.scope, SCOPES)}; there are {SCOPES}")
        chosen, keep = matrices(view.layout, self.tensors, protect=self.protect), density(view.budget)
        group = group_of(self.pattern, keep, chosen)
        scores = (self.file.score(m.rows(view.model[m.tensor])) for m in chosen)
        if group is None and self.scope == "global":
            masks = _together(list(scores), keep)
        else:
            masks = [self._mask(s, keep, group) for s in scores]
        edits = tuple(Mask(m.tensor, m.back(kept)) for m, kept in zip(chosen, masks, strict=True))
        return Plan(edits, made={**_made(self, view), **zero_counts(masks)})

    def _mask(self, scores: Tensor, keep: float, group: tuple[int, int] | None) -> Tensor:
        if group is not None or self.scope == "row":
            return by_rows(scores, keep, group)
        return best_of_all(scores, zeros_of(scores.numel(), keep))


def _made(method: "Units | Drawn | Weights", view: View) -> dict[str, Any]:
    name = method.file.__name__.rpartition(".")[2]
    return {"method": name, "settings": asdict(method), "budget": str(view.budget)}


def _together(scores: list[Tensor], keep: float) -> list[Tensor]:
    flat = torch.cat([s.flatten() for s in scores])
    kept = best_of_all(flat, zeros_of(len(flat), keep)).split([s.numel() for s in scores])
    return [k.view(s.shape) for k, s in zip(kept, scores, strict=True)]
