"""A tuple of edits: plain data that can be read, compared, added up and carried out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Keep:
    """Keep these units of an axis, in this order, wherever the axis occurs; `units` ascend."""

    axis: str
    units: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Mask:
    """Zero the weights of a tensor where `kept` (bool, the tensor's shape at this point of the plan) is False."""

    tensor: str
    kept: Tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and self.tensor == other.tensor and torch.equal(self.kept, other.kept)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Update:
    """Give a tensor new values, of the shape it has at this point of the plan; the stored dtype stays."""

    tensor: str
    values: Tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Update) and self.tensor == other.tensor and torch.equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]


Edit = Keep | Mask | Update


@dataclass(frozen=True)
class Plan:
    """Edits, carried out in order, and where they came from.

    `made` tells method, settings, budget, seed and data, for people and for repeating it; it takes no part in
    what the plan does.
    """

    edits: tuple[Edit, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: "Plan") -> "Plan":
        """This plan, then the other. Units in the second are numbered as the first leaves them."""
        return Plan(self.edits + other.edits, {**self.made, **other.made})

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.edits)

    def keeps(self) -> dict[str, tuple[int, ...]]:
        """Axis -> units of the model before the plan that stay, after all `Keep`s of the plan."""
        out: dict[str, tuple[int, ...]] = {}
        for edit in self.edits:
            if isinstance(edit, Keep):
                before = out.get(edit.axis)
                out[edit.axis] = edit.units if before is None else tuple(before[u] for u in edit.units)
        return out
