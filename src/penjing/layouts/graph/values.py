"""What small tensors hold that depend on neither weights nor example: forwards branch on such numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from penjing.layouts.graph.conditions import outside

LARGEST = 2**20
"""Numbers in a tensor whose values are followed."""


class Values:
    """The values of tensors without values, by identity; who keeps those tensors alive is the recorder."""

    def __init__(self) -> None:
        """Nothing known."""
        self._known: dict[int, Tensor] = {}

    def keep(self, stand_in: Tensor, value: Tensor) -> None:
        """Remember what `stand_in` holds, if it is small and holds anything."""
        if value.numel() <= LARGEST and value.device.type != "meta":
            self._known[id(stand_in)] = value

    def of(self, stand_in: Tensor) -> Tensor | None:
        """What a tensor holds, where that is known."""
        return self._known.get(id(stand_in))

    def asked(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What an operator gives that asks for values, or NotImplemented where they are not known."""
        asks = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        return self._computed(func, args, kwargs) if asks else NotImplemented

    def follow(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Remember what the result holds where every argument's values are known."""
        tensors = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        if any(t.numel() > LARGEST for t in tensors):
            return
        found = self._computed(func, args, kwargs)
        if found is not NotImplemented:
            for stand_in, value in zip(tensors, (t for t in tree_leaves(found) if isinstance(t, Tensor)), strict=True):
                self.keep(stand_in, value)

    def _computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if torch.Tag.nondeterministic_seeded in func.tags or any(id(t) not in self._known for t in given):
            return NotImplemented
        args, kwargs = tree_map_only(Tensor, lambda t: self._known[id(t)], (args, kwargs))
        args, kwargs = tree_map_only(torch.device, real, (args, kwargs))
        with outside():
            return func(*args, **kwargs)


def real(device: torch.device) -> torch.device:
    """Where a value can be: what a model without weights makes from nothing but numbers, it makes on `meta`."""
    return torch.device("cpu") if device.type == "meta" else device
