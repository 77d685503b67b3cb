"""A sublayer left out: what it added to the stream is zero.

It stands in for a whole attention or MLP that is added to a residual stream: `y = x + sublayer(norm(x))` becomes
`y = x`. A sublayer that keeps a cache goes on telling the cache how many tokens there were, with one number for each,
since stock code reads the length of a sequence off the first layer.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core.modules import Place
from penjing.errors import PlanError

AXES: dict[str, tuple[str, int]] = {}
_CACHES = ("past_key_values", "past_key_value", "layer_past")
_INPUTS = ("hidden_states", "x", "input")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many values the sublayer gives, of which the first is the stream's.

    0 stands for two where the old module is numbered as those with a cache are (`layer_idx`), and else one.
    """

    outputs: int = 0

    def __post_init__(self) -> None:
        if type(self.outputs) is not int or self.outputs < 0:
            raise PlanError(f"a sublayer left out gives {self.outputs!r} values; a whole number from 0 was needed")


class Nothing(nn.Module):
    """Zeros in the shape of what goes in; None for every further output."""

    def __init__(self, outputs: int, layer: int | None) -> None:
        """Take the number of outputs, and the place in a cache, if there is one."""
        super().__init__()
        self.outputs, self.layer_idx = outputs, layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing to add."""
        x = args[0] if args else next(kwargs[name] for name in _INPUTS if name in kwargs)
        cache = next((kwargs[name] for name in _CACHES if kwargs.get(name) is not None), None)
        if cache is not None and self.layer_idx is not None:
            seen = x.new_zeros(x.shape[0], 1, x.shape[1], 1)
            cache.update(seen, seen, self.layer_idx)
        out: Tensor = torch.zeros_like(x)
        return out if self.outputs == 1 else (out, *[None] * (self.outputs - 1))


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """None."""
    del old, settings
    return {}


def build(old: nn.Module, settings: Settings) -> Nothing:
    """The module for the place of any other."""
    layer = getattr(old, "layer_idx", None)
    numbered = layer if isinstance(layer, int) else None
    return Nothing(settings.outputs or (1 if numbered is None else 2), numbered)
