"""Noise: each pixel and channel disturbed by itself. Images are [b c h w] float32 from 0 to 1."""

from functools import lru_cache

import torch
from torch import Tensor

from penjing.tasks.images.corruptions.draw import Draw


def gaussian_noise(x: Tensor, draw: Draw, sigma: float) -> Tensor:
    """`x` with normal noise of standard deviation `sigma`."""
    return x + sigma * draw.normal(*x.shape[1:])


def shot_noise(x: Tensor, draw: Draw, photons: float) -> Tensor:
    """As if white were `photons` photons on average, each pixel counted: Poisson(x photons) / photons."""
    levels = (x * 255).round().long()
    table = _poisson(photons)
    count = table.shape[1]
    flat = (table + torch.arange(len(table), dtype=torch.float64)[:, None]).flatten()
    found = torch.searchsorted(flat, draw.uniform(*x.shape[1:]) + levels)
    return (found - levels * count).float() / photons


@lru_cache(maxsize=16)
def _poisson(photons: float) -> Tensor:
    """[256 counts]: the probability of at most so many photons at each grey level."""
    most = int(photons + 12 * photons**0.5 + 24)
    counts = torch.arange(1, most + 1, dtype=torch.float64)
    rates = torch.arange(256, dtype=torch.float64)[:, None] / 255 * photons
    table = torch.special.gammaincc(counts.expand(256, -1), rates.expand(-1, most)).contiguous()
    table[:, -1] = 1.0
    return table


def impulse_noise(x: Tensor, draw: Draw, amount: float) -> Tensor:
    """A share `amount` of all values set to black or white, as often to either."""
    hit, white = draw.uniform(*x.shape[1:]) < amount, draw.uniform(*x.shape[1:]) < 0.5
    return torch.where(hit, white.to(x), x)


def speckle_noise(x: Tensor, draw: Draw, sigma: float) -> Tensor:
    """`x` with normal noise that grows with the value: x + x n."""
    return x + x * sigma * draw.normal(*x.shape[1:])
