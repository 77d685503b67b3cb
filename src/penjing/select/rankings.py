"""Which weights of several tensors are the largest, where what is gone stays gone."""

import torch
from torch import Tensor

from penjing.core import Masks
from penjing.maths.sparse_masks import best_of_all, zeros_of


def largest(weights: dict[str, Tensor], masks: Masks, keep: float) -> dict[str, Tensor]:
    """Tensor -> bool: of all together the `keep` x n largest absolute values; what is gone stays gone."""
    sizes = [
        w.float().abs() if t not in masks else torch.where(masks[t], w.float().abs(), -1.0) for t, w in weights.items()
    ]
    flat = torch.cat([s.flatten() for s in sizes])
    parts = best_of_all(flat, min(zeros_of(flat.numel(), keep), flat.numel() - 1)).split([s.numel() for s in sizes])
    return {t: p.view(s.shape) & (s >= 0) for (t, s), p in zip(zip(weights, sizes, strict=True), parts, strict=True)}
