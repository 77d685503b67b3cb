"""The orthonormal discrete cosine transform (DCT-II) of a map, and its bands."""

import torch
from torch import Tensor, nn


def matrix(n: int, like: Tensor) -> Tensor:
    """[n n] of the type and place of `like`: row k is the cosine of frequency k. Its transpose is its inverse."""
    place = torch.arange(n, device=like.device, dtype=torch.float32)
    waves = torch.cos(torch.pi / n * place[:, None] * (place + 0.5)) * (2 / n) ** 0.5
    waves = torch.cat([waves[:1] * 0.5**0.5, waves[1:]])
    return waves.to(like.dtype)


def dct(x: Tensor) -> Tensor:
    """[... H W] -> its spectrum, of the same shape."""
    return _along_both(x, matrix(x.shape[-2], x), matrix(x.shape[-1], x))


def inverse(x: Tensor) -> Tensor:
    """The map [... H W] of a spectrum."""
    return _along_both(x, matrix(x.shape[-2], x).T, matrix(x.shape[-1], x).T)


def _along_both(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    x = nn.functional.linear(x, columns)
    return nn.functional.linear(x.transpose(-1, -2), rows).transpose(-1, -2)


def rings(height: int, width: int, count: int, like: Tensor) -> Tensor:
    """[count H W], 1 where a coefficient is in a ring: `count` rings of equal width by relative frequency, 0 else."""
    i = torch.arange(height, device=like.device, dtype=torch.float32)[:, None] / height
    j = torch.arange(width, device=like.device, dtype=torch.float32)[None] / width
    ring = torch.floor(count * torch.sqrt(i * i + j * j) / 2**0.5)
    return (ring[None] == torch.arange(count, device=like.device)[:, None, None]).to(like.dtype)
