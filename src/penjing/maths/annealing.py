"""The smallest xᵀQx over binary x with a given number of ones: by trying all, by descent, by annealing.

Source: Rosenberg et al., arXiv:2411.17796, section on the solver: swaps of a one and a zero, Metropolis, inverse
temperatures from 1e-3 to 100 by a factor 1.1, one sweep each. Deviations: the result is never worse than the start,
and each restart ends in a descent, so that it is a local minimum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from penjing.errors import PenjingError

MOST_TRIED = 20
"""Variables up to which everything is tried."""


@dataclass(frozen=True, kw_only=True)
class Cooling:
    """Inverse temperatures: from `first`, times `factor`, to `last`; for a Q whose entries are about 1."""

    first: float = 1e-3
    last: float = 100.0
    factor: float = 1.1

    def steps(self) -> list[float]:
        """All of them, rising."""
        count = round(math.log(self.last / self.first) / math.log(self.factor)) + 1
        return [self.first * self.factor**i for i in range(count)]


def energy(q: Tensor, ones: Tensor) -> float:
    """xᵀQx, float64; `ones` [n] is bool."""
    chosen = ones.nonzero().flatten()
    return float(q.double()[chosen][:, chosen].sum())


def clipped(q: Tensor, cutoff: float) -> Tensor:
    """Q with entries of absolute value up to `cutoff` set to zero."""
    return torch.where(q.abs() <= cutoff, 0.0, q)


def exhaustive(q: Tensor, count: int) -> Tensor:
    """[n] bool: the best of all choices of `count` ones; of equal ones the first.

    Raises:
        PenjingError: there are more than 20 variables.
    """
    n = len(q)
    if n > MOST_TRIED:
        raise PenjingError(f"{n} variables are too many to try everything; use annealing above {MOST_TRIED}")
    best, found = math.inf, ()
    for choice in combinations(range(n), count):
        value = float(q.double()[list(choice)][:, list(choice)].sum()) if choice else 0.0
        if value < best:
            best, found = value, choice
    return _as_bool(found, n)


def descend(q: Tensor, start: Tensor) -> Tensor:
    """[n] bool: from `start`, the best swap of a one and a zero again and again, until none helps."""
    matrix, x = _symmetric(q), start.numpy().copy()
    _descend(matrix, x, matrix @ x)
    return torch.from_numpy(x)


def anneal(q: Tensor, start: Tensor, *, seeds: Sequence[int], cooling: Cooling | None = None) -> Tensor:
    """[n] bool: the best of one run of annealing for each seed, and of the start; as many ones as `start` has."""
    matrix = _symmetric(q)
    scale = np.abs(matrix[matrix != 0]).mean() if matrix.any() else 1.0
    best, lowest = start.clone(), energy(q, start)
    for seed in seeds:
        x = start.numpy().copy()
        _anneal(matrix / scale, x, np.random.default_rng(seed), (cooling or Cooling()).steps())
        _descend(matrix, x, matrix @ x)
        found = torch.from_numpy(x)
        if (value := energy(q, found)) < lowest:
            best, lowest = found, value
    return best


def _anneal(q: np.ndarray, x: np.ndarray, random: np.random.Generator, betas: Sequence[float]) -> None:
    """Change `x` in place; h = Qx is kept up to date, so that a swap is tried in constant time."""
    n = len(x)
    sides = [[i for i in range(n) if not x[i]], [i for i in range(n) if x[i]]]
    if not sides[0] or not sides[1]:
        return
    place = [0] * n
    for side in sides:
        for at, i in enumerate(side):
            place[i] = at
    field, diagonal = q @ x, q.diagonal().tolist()
    for beta in betas:
        accepted = 0
        draws, chances = random.random(n).tolist(), random.random(n).tolist()
        for i in range(n):
            mine, others = sides[int(x[i])], sides[1 - int(x[i])]
            j = others[int(draws[i] * len(others))]
            out, into = (i, j) if x[i] else (j, i)
            change = 2 * (field[into] - field[out] - q[out, into]) + diagonal[out] + diagonal[into]
            if change > 0 and chances[i] >= math.exp(-min(beta * change, 700.0)):
                continue
            accepted += 1
            field += q[into] - q[out]
            x[i], x[j] = x[j], x[i]
            mine[place[i]], others[place[j]] = j, i
            place[i], place[j] = place[j], place[i]
        if not accepted:
            return


def _descend(q: np.ndarray, x: np.ndarray, field: np.ndarray) -> None:
    diagonal = q.diagonal()
    while x.any() and not x.all():
        ones, zeros = np.flatnonzero(x), np.flatnonzero(~x)
        off, on = diagonal[ones] - 2 * field[ones], diagonal[zeros] + 2 * field[zeros]
        change = off[:, None] + on[None, :] - 2 * q[np.ix_(ones, zeros)]
        at = int(change.argmin())
        if change.flat[at] >= -1e-12 * max(float(np.abs(field).max()), 1e-300):
            return
        out, into = ones[at // len(zeros)], zeros[at % len(zeros)]
        x[out], x[into] = False, True
        field = field + q[into] - q[out]


def _symmetric(q: Tensor) -> np.ndarray:
    matrix = q.double().numpy()
    return (matrix + matrix.T) / 2


def _as_bool(choice: Sequence[int], n: int) -> Tensor:
    out = torch.zeros(n, dtype=torch.bool)
    out[list(choice)] = True
    return out
