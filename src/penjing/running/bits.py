"""Sums of the bits of tensors: the same for weights that are the same, and quick enough to be asked for often."""

import torch
from torch import Tensor, nn

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def sum_of_bits(tensor: Tensor) -> int:
    """The bits as integers, summed by rows and by columns, both weighted by place: exchanged units differ too."""
    bits = tensor.view(_INTEGERS[tensor.element_size()])
    table = bits.reshape(len(bits), -1) if bits.ndim > 1 and len(bits) else bits.reshape(1, -1)
    found = 0
    for dim in (0, 1):
        sums = table.sum(dim, dtype=table.dtype).long()
        places = torch.arange(1, 2 * len(sums), 2, device=sums.device)
        found = 31 * found + int((sums * places).sum())
    return found


def bits_of(module: nn.Module) -> tuple[object, ...] | None:
    """What tells whether a module is as it was: its weights and buffers, its modes, and who listens to its parts.

    None where the weights are no plain tensors in memory.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    try:
        weights = [(n, t.dtype, tuple(t.shape), sum_of_bits(t.detach())) for n, t in named]
    except (KeyError, RuntimeError):
        return None
    parts = [
        (id(m), m.training, len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in vars(m))
        for m in module.modules()
    ]
    return tuple(weights), tuple(parts)
