"""Orthonormal bases: principal axes of a second moment, random ones, and those that keep the direction of the mean."""

import torch
from torch import Tensor


def principal_axes(second_moment: Tensor, damping: float = 0.01) -> Tensor:
    """[n n] float64: the eigenvectors of a second moment [n n] as columns, those of the largest energy first.

    `damping` times the mean of the diagonal is added to it. The sign of each column is such that its largest entry is
    positive, so that the same moment gives the same axes.
    """
    moment = second_moment.double()
    moment = (moment + moment.T) / 2
    moment = moment + damping * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)
    axes = torch.linalg.eigh(moment).eigenvectors.flip(1)
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)


def random_orthogonal(size: int, generator: torch.Generator) -> Tensor:
    """[size size] float64: an orthogonal matrix, all directions alike.

    >>> turn = random_orthogonal(3, torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(turn.T @ turn, torch.eye(3, dtype=torch.float64)))
    True
    """
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def mean_keeping(axes: Tensor) -> Tensor:
    """[n m] float64: a basis that maps the direction of all ones of n to that of all ones of m.

    Its span holds the direction of the mean and of the first m - 1 columns of `axes` [n m] whatever of them is at right
    angles to it. A layer norm of width n, in such a basis, is one of width m: what it takes off is the same direction.
    """
    n, m = axes.shape
    ones = torch.full((n, 1), n**-0.5, dtype=torch.float64)
    rest = axes.double() - ones @ (ones.T @ axes.double())
    span, _ = torch.linalg.qr(torch.cat([ones, rest], dim=1)[:, :m])
    span[:, 0] = ones[:, 0]
    return span @ _first_to_ones(m)


def _first_to_ones(size: int) -> Tensor:
    """[size size]: the reflection whose first row is the direction of all ones."""
    wanted = torch.full((size,), size**-0.5, dtype=torch.float64)
    first = torch.zeros(size, dtype=torch.float64)
    first[0] = 1.0
    normal = first - wanted
    length = normal @ normal
    if size == 1 or length == 0:
        return torch.eye(size, dtype=torch.float64)
    return torch.eye(size, dtype=torch.float64) - 2 / length * torch.outer(normal, normal)
