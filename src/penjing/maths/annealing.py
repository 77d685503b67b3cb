"""The smallest xᵀQx over binary x with a given number of ones: by trying all, by descent, by annealing.

Source: Rosenberg et al., arXiv:2411.17796, section on the solver: swaps of a one and a zero, Metropolis, inverse
temperatures from 1e-3 to 100 by a factor 1.1, one sweep each. Deviations: the result is never worse than the start,
and each restart ends in a descent, so that it is a local minimum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

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
    q = _symmetric(q)
    x, field, diagonal = start.clone(), q @ start.double(), q.diagonal()
    while x.any() and not x.all():
        ones, zeros = x.nonzero().flatten(), (~x).nonzero().flatten()
        off, on = diagonal[ones] - 2 * field[ones], diagonal[zeros] + 2 * field[zeros]
        change = off[:, None] + on[None, :] - 2 * q[ones][:, zeros]
        at = int(change.argmin())
        if change.flatten()[at] >= -1e-12 * max(float(field.abs().max()), 1e-300):
            break
        out, into = ones[at // len(zeros)], zeros[at % len(zeros)]
        x[out], x[into] = False, True
        field = field + q[into] - q[out]
    return x


def anneal(q: Tensor, start: Tensor, *, seeds: Sequence[int], cooling: Cooling | None = None) -> Tensor:
    """[n] bool: the best of one run of annealing for each seed, and of the start; as many ones as `start` has."""
    q = _symmetric(q)
    scale = q[q != 0].abs().mean() if q.any() else 1.0
    best, lowest = start.clone(), energy(q, start)
    for seed in seeds:
        x = start.clone()
        random = torch.Generator().manual_seed(seed)
        _anneal(q / scale, x, random, (cooling or Cooling()).steps())
        found = descend(q, x)
        if (value := energy(q, found)) < lowest:
            best, lowest = found, value
    return best


def _anneal(q: Tensor, ones: Tensor, random: torch.Generator, betas: Sequence[float]) -> None:
    """Change `ones` in place; h = Qx is kept up to date, so that a swap is tried in constant time.

    The loop works on NumPy's views of the tensors, whose single numbers are read several times faster.
    """
    n, x, matrix = len(ones), ones.numpy(), q.numpy()
    sides = [[i for i in range(n) if not x[i]], [i for i in range(n) if x[i]]]
    if not sides[0] or not sides[1]:
        return
    place = [0] * n
    for side in sides:
        for at, i in enumerate(side):
            place[i] = at
    field, diagonal = (q @ ones.double()).numpy(), q.diagonal().tolist()
    for beta in betas:
        accepted = 0
        draws, chances = (torch.rand(n, generator=random, dtype=torch.float64).tolist() for _ in range(2))
        for i in range(n):
            mine, others = sides[int(x[i])], sides[1 - int(x[i])]
            j = others[int(draws[i] * len(others))]
            out, into = (i, j) if x[i] else (j, i)
            change = 2 * (field[into] - field[out] - matrix[out, into]) + diagonal[out] + diagonal[into]
            if change > 0 and chances[i] >= math.exp(-min(beta * change, 700.0)):
                continue
            accepted += 1
            field += matrix[into] - matrix[out]
            x[i], x[j] = x[j], x[i]
            mine[place[i]], others[place[j]] = j, i
            place[i], place[j] = place[j], place[i]
        if not accepted:
            return


def _symmetric(q: Tensor) -> Tensor:
    q = q.double()
    return (q + q.T) / 2


def _as_bool(choice: Sequence[int], n: int) -> Tensor:
    out = torch.zeros(n, dtype=torch.bool)
    out[list(choice)] = True
    return out
