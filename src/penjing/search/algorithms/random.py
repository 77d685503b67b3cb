"""Points drawn evenly from the space, which every other algorithm is to beat at as many tries."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from penjing.search.algorithm import Point, Space, Told, least


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """`tries` points are drawn by `seed`; the same seed draws the same, however often the search was stopped."""

    tries: int = 32
    seed: int = 0

    def ask(self, space: Space, told: Sequence[Told]) -> Point | None:
        """The next draw."""
        if len(told) >= self.tries:
            return None
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.rand(len(told) + 1, len(space), generator=generator, dtype=torch.float64)[-1].tolist()
        return {name: low + x * (high - low) for x, (name, (low, high)) in zip(drawn, space.items(), strict=True)}

    def best(self, told: Sequence[Told]) -> int:
        """Of those that will do, or else of all, the one with the least figure."""
        will = [i for i, t in enumerate(told) if t.holds]
        return will[least([told[i] for i in will])] if will else least(told)
