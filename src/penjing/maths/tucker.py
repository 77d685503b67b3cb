"""A convolution's kernel as a smaller one between two projections: Tucker's decomposition along both kinds of channels.

Source: Kim et al., "Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications",
arXiv:1511.06530, section 3.1 (Tucker-2); De Lathauwer et al., SIAM J. Matrix Anal. Appl. 21(4), 2000 (higher-order
orthogonal iteration, begun from the singular vectors of each unfolding).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tucker:
    """`last` [out r_out], `core` [r_out r_in window] and `first` [r_in in], float32; `error` is what they miss."""

    last: Tensor
    core: Tensor
    first: Tensor
    error: float
    whole: float
    """The norm of the kernel: what `error` is a share of."""


def tucker(kernel: Tensor, out: int, into: int, sweeps: int) -> Tucker:
    """The projections onto `out` and `into` directions of the channels that hold the most of a kernel [out in window].

    `sweeps` improve both in turn, each given the other; the error never grows.
    """
    exact = kernel.double()
    last, first = _directions(exact, 0, out), _directions(exact, 1, into)
    for _ in range(sweeps):
        last = _directions(torch.einsum("oiw,ir->orw", exact, first), 0, out)
        first = _directions(torch.einsum("oiw,or->riw", exact, last), 1, into)
    core = torch.einsum("oiw,or,is->rsw", exact, last, first)
    whole = float(exact.square().sum())
    error = math.sqrt(max(whole - float(core.square().sum()), 0.0))
    return Tucker(last.float(), core.float(), first.T.contiguous().float(), error, math.sqrt(whole))


def _directions(tensor: Tensor, dim: int, count: int) -> Tensor:
    """[size count]: the strongest left singular vectors of an unfolding, the largest entry of each positive."""
    unfolded = tensor.movedim(dim, 0).flatten(1)
    axes = torch.linalg.eigh(unfolded @ unfolded.T).eigenvectors.flip(1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)


def numbers(out: int, into: int, window: int, ranks: tuple[int, int]) -> int:
    """How many numbers the three factors have, of (rank of outputs, rank of inputs)."""
    return out * ranks[0] + ranks[0] * ranks[1] * window + ranks[1] * into


def ranks_for(share: float, out: int, into: int, window: int) -> tuple[int, int]:
    """The largest ranks, the same share of outputs and of inputs, with at most this share of the kernel's numbers.

    >>> ranks_for(0.5, 16, 16, 9)
    (9, 9)
    """
    limit = share * out * into * window + 1e-9
    best = (1, 1)
    for step in range(1, max(out, into) + 1):
        part = step / max(out, into)
        found = (max(1, int(part * out)), max(1, int(part * into)))
        if numbers(out, into, window, found) > limit:
            break
        best = found
    return best
