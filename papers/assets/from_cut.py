"""DINOv2 as a running model for searches that cut the last block first: blocks before the first cut one run once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from penjing.calibrate.objectives.entropy import entropy
from penjing.core import Plan

Hook = Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]


class FromCut:
    """The entropy of one batch of prepared pictures [b c h w] under plans that keep neurons, as `Running` has it.

    What the blocks before the first cut one give is computed once, and the neurons that go are zeroed in what the
    second layer of their MLP takes in; no weight is touched.
    """

    def __init__(self, module: nn.Module, pictures: Tensor) -> None:
        self.examples = len(pictures)
        self._layers, self._norm = list(module.encoder.layer), module.layernorm
        self._taken: list[Tensor] = []
        handles = [x.register_forward_pre_hook(lambda _, given: self._taken.append(given[0])) for x in self._layers]
        with torch.no_grad():
            module(pictures)
        for handle in handles:
            handle.remove()

    def value(self, plan: Plan, *, objective: str = "entropy", examples: Sequence[int] | None = None) -> float:
        """The mean entropy over all pictures; there is no other objective, and no part of the batch.

        Raises:
            ValueError: something else is asked for.
        """
        if objective != "entropy" or (examples is not None and list(examples) != list(range(self.examples))):
            raise ValueError(f"found objective '{objective}' of {examples}; needed is the entropy of the whole batch")
        kept = {int(axis.removeprefix("neurons.")): list(units) for axis, units in plan.keeps().items()}
        first = min(kept, default=len(self._layers) - 1)
        handles = [self._layers[i].mlp.fc2.register_forward_pre_hook(only(units)) for i, units in kept.items()]
        with torch.no_grad():
            hidden = self._taken[first]
            for layer in self._layers[first:]:
                hidden = layer(hidden)
            found = self._norm(hidden)[:, 0]
        for handle in handles:
            handle.remove()
        return float(entropy(found, found).double().mean())


def only(units: list[int]) -> Hook:
    """A hook that zeroes all inputs of a layer but these."""

    def hook(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        mask = given[0].new_zeros(given[0].shape[-1])
        mask[units] = 1
        return (given[0] * mask,)

    return hook
