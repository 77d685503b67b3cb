"""What a pass of a model gives: its output, its logits, and the outputs of some of its blocks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import Batch, tokens
from penjing.calibrate.batches import run as forward
from penjing.calibrate.outputs import scores
from penjing.core import Seen


class Watched:
    """A module whose passes are seen; `blocks` maps numbers to the paths of blocks whose outputs are wanted.

    With `head` also what goes into the module that makes the logits is seen, as state -1.
    """

    def __init__(self, module: nn.Module, blocks: Mapping[int, str], *, head: nn.Module | None = None) -> None:
        self.module = module
        self._states: dict[int, Tensor] = {}
        self._hooks = [
            module.get_submodule(path).register_forward_hook(self._after(number)) for number, path in blocks.items()
        ]
        if head is not None:
            self._hooks.append(head.register_forward_pre_hook(lambda _, given: self._states.update({-1: given[0]})))

    def __call__(self, batch: Batch) -> Seen:
        """What a batch gives.

        Raises:
            DataError: the module refuses the batch, or gives no tensor.
        """
        self._states = {}
        output = forward(self.module, batch)
        states, self._states = self._states, {}
        return Seen(output=output, logits=scores(output), states=states, counts=counted(batch))

    def close(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def _after(self, number: int) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            self._states[number] = output if isinstance(output, Tensor) else output[0]

        return hook


def counted(batch: Batch) -> Tensor | None:
    """[examples length] bool: which tokens are no padding; None if all count, or nothing is a token."""
    found = tokens(batch)
    if found is None or found[1] is None or bool((found[1] != 0).all()):
        return None
    return found[1] != 0


def placed(batch: Any, device: torch.device) -> Any:
    """The batch on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {k: placed(v, device) for k, v in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(placed(v, device) for v in batch)
    return batch
