"""What a module gives for an example, and whether two modules give the same."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def run(module: nn.Module, example: Any) -> Tensor:
    """The first tensor that a module gives for an example, in evaluation mode; leaves the mode as it was.

    Random numbers that it draws are the same each time, and attention is computed by its parts, as torch's own kernels
    leave out what is padded: so two modules can be compared.
    """
    kernels = torch.backends.mha.get_fastpath_enabled()
    training, devices = module.training, {p.device.index for p in module.parameters() if p.device.type == "cuda"}
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(0)
            if isinstance(example, Mapping):
                out = module(**example)
            else:
                out = module(*example) if isinstance(example, tuple) else module(example)
    finally:
        module.train(training)
        torch.backends.mha.set_fastpath_enabled(kernels)
    while not isinstance(out, Tensor):
        first = getattr(out, "logits", None)
        out = first if first is not None else out[next(iter(out))] if isinstance(out, Mapping) else out[0]
    return out


def agree(given: Tensor, wanted: Tensor) -> bool:
    """Whether two outputs are one but for rounding."""
    if given.shape != wanted.shape:
        return False
    if not given.is_floating_point():
        return bool(torch.equal(given, wanted))
    scale = float(wanted.abs().max()) if wanted.numel() else 1.0
    bound = 1e-4 if given.element_size() >= 4 else 3e-2
    return bool((given - wanted).abs().max() <= bound * max(scale, 1e-12)) if wanted.numel() else True
