"""Copies of modules, those included that hold tensors computed from their parameters."""

import copy

from torch import Tensor, nn


def copy_of(module: nn.Module) -> nn.Module:
    """A deep copy. Tensors that a hook computed from parameters (the old `weight_norm`) are copied as plain values.

    The hook computes them anew before each forward pass, so the copy computes what the module does.
    """
    memo: dict[int, object] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(module, memo)
