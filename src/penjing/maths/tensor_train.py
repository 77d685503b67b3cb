"""A matrix as a chain of small cores (a matrix product operator), by successive truncated singular values.

The rows and the columns of a matrix [out in] are each numbered by as many digits as there are sites, and core j
[left o_j i_j right] holds the j-th digit of both. The widths between two cores are the bonds. A size that has no
fitting digits is padded with zeros, and what they give is left out.

Source: Oseledets, SIAM J. Sci. Comput. 33(5), 2011, algorithm 1 (successive truncations; their squared errors add up);
Tomut et al., "CompactifAI", arXiv:2401.14109 (digits of rows and columns of one site side by side).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

UNEVEN = 3
"""Digits whose largest is more than this times the smallest are not taken if a little padding gives better ones."""
PADDING = 16
"""One part in so many may be padded."""


@dataclass(frozen=True)
class Train:
    """Cores [left o i right] in float32; `error` is the norm of what they miss of the matrix, `whole` its own norm."""

    cores: tuple[Tensor, ...]
    error: float
    whole: float


def digits(size: int, sites: int) -> tuple[int, ...]:
    """Factors, one for each site, whose product is `size` or a little more; the smallest lie in the middle.

    >>> digits(576, 3), digits(157, 3)
    ((8, 8, 9), (5, 4, 8))
    """
    exact = min(_factors(size, sites), key=lambda f: (f[-1], -f[0]))
    if exact[-1] > UNEVEN * exact[0] and size > sites:
        near = [f for n in range(size, size + size // PADDING + 2) for f in _factors(n, sites)]
        exact = min(near, key=lambda f: (f[-1], math.prod(f), -f[0]))
    return _ends_first(exact)


def _factors(size: int, sites: int, least: int = 1) -> Iterator[tuple[int, ...]]:
    """All ways to write a size as that many factors, ascending."""
    if sites == 1:
        if size >= least:
            yield (size,)
        return
    for one in range(least, round(size ** (1 / sites)) + 2):
        if size % one == 0:
            yield from ((one, *rest) for rest in _factors(size // one, sites - 1, one))


def _ends_first(ascending: Sequence[int]) -> tuple[int, ...]:
    left, right = list(ascending[1::2]), list(ascending[0::2])
    return (*reversed(left), *right)


def bonds(outs: Sequence[int], ins: Sequence[int], bond: int) -> tuple[int, ...]:
    """The widths between cores, 1 at both ends: at most `bond`, and no wider than any matrix needs."""
    sizes = [o * i for o, i in zip(outs, ins, strict=True)]
    inner = (min(bond, math.prod(sizes[:j]), math.prod(sizes[j:])) for j in range(1, len(sizes)))
    return (1, *inner, 1)


def numbers(outs: Sequence[int], ins: Sequence[int], bond: int) -> int:
    """How many numbers the cores have together.

    >>> numbers((6, 6, 6), (6, 6, 6), 8) == 2 * 36 * 8 + 36 * 8**2
    True
    """
    wide = bonds(outs, ins, bond)
    return sum(wide[j] * o * i * wide[j + 1] for j, (o, i) in enumerate(zip(outs, ins, strict=True)))


def widest(outs: Sequence[int], ins: Sequence[int]) -> int:
    """The bond at which every matrix is held exactly."""
    sizes = [o * i for o, i in zip(outs, ins, strict=True)]
    return max((min(math.prod(sizes[:j]), math.prod(sizes[j:])) for j in range(1, len(sizes))), default=1)


def bond_for(share: float, outs: Sequence[int], ins: Sequence[int], whole: int) -> int:
    """The largest bond whose cores have at most this share of `whole` numbers, 1 at least."""
    low, high = 1, widest(outs, ins)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if numbers(outs, ins, middle) <= share * whole + 1e-9 else (low, middle - 1)
    return low


def decompose(weight: Tensor, outs: Sequence[int], ins: Sequence[int], bond: int) -> Train:
    """The cores of `weight` [out in], each truncated to its largest singular values; all of the same norm.

    The squared `error` is the sum of all squared singular values that were dropped.
    """
    sites = len(outs)
    padded = torch.zeros(math.prod(outs), math.prod(ins), dtype=torch.float64)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    order = [place for j in range(sites) for place in (j, sites + j)]
    rest = padded.reshape(*outs, *ins).permute(order)
    wide, cores, dropped = bonds(outs, ins, bond), list[Tensor](), 0.0
    for j in range(sites - 1):
        left, values, right = torch.linalg.svd(rest.reshape(wide[j] * outs[j] * ins[j], -1), full_matrices=False)
        stays = wide[j + 1]
        cores.append(left[:, :stays].reshape(wide[j], outs[j], ins[j], stays))
        dropped += float(values[stays:].square().sum())
        rest = values[:stays, None] * right[:stays]
    cores.append(rest.reshape(wide[-2], outs[-1], ins[-1], 1))
    return Train(_balanced(cores), math.sqrt(dropped), float(padded.norm()))


def _balanced(cores: list[Tensor]) -> tuple[Tensor, ...]:
    """The same product of cores of equal norms, so that one rate of learning serves all."""
    norms = [float(c.norm()) for c in cores]
    if not all(norms):
        return tuple(c.float() for c in cores)
    mean = math.exp(sum(math.log(n) for n in norms) / len(norms))
    return tuple((c * (mean / n)).float() for c, n in zip(cores, norms, strict=True))


def matrix(cores: Sequence[Tensor]) -> Tensor:
    """[padded out, padded in]: what cores multiply by."""
    first, *others = cores
    out = first.reshape(first.shape[1], first.shape[2], -1)
    for core in others:
        left, o, i, right = core.shape
        made = out.reshape(-1, left) @ core.reshape(left, -1)
        out = made.reshape(out.shape[0], out.shape[1], o, i, right).transpose(1, 2)
        out = out.reshape(out.shape[0] * o, -1, right)
    return out.squeeze(2)


def from_left(x: Tensor, cores: Sequence[Tensor]) -> Tensor:
    """[n, padded out]: x [n, padded in] through one core after another, from the first."""
    rest = math.prod(c.shape[2] for c in cores)
    for core in cores:
        left, o, i, right = core.shape
        rest //= i
        x = core.permute(1, 3, 0, 2).reshape(o * right, left * i) @ x.reshape(-1, left * i, rest)
    return x.reshape(-1, math.prod(c.shape[1] for c in cores))


def from_right(x: Tensor, cores: Sequence[Tensor]) -> Tensor:
    """[n, padded out]: x [n, padded in] through one core after another, from the last."""
    done = 1
    for core in reversed(cores):
        left, o, i, right = core.shape
        x = core.reshape(left * o, i * right) @ x.reshape(-1, i * right, done)
        done *= o
    return x.reshape(-1, done)


WAYS: tuple[str, ...] = ("left", "right", "matrix")


def multiply_adds(outs: Sequence[int], ins: Sequence[int], bond: int, way: str) -> tuple[tuple[int, ...], int]:
    """(of each core for one input; once for all inputs) multiply-adds of a way to multiply by the cores.

    `left` and `right` go through the cores from that end; `matrix` makes the matrix first, in one go for all inputs:
    its product with an input is counted with the last core.
    """
    wide, sites = bonds(outs, ins, bond), range(len(outs))
    own = [wide[j] * wide[j + 1] * outs[j] * ins[j] for j in sites]
    if way == "left":
        return tuple(own[j] * math.prod(outs[:j]) * math.prod(ins[j + 1 :]) for j in sites), 0
    if way == "right":
        return tuple(own[j] * math.prod(ins[:j]) * math.prod(outs[j + 1 :]) for j in sites), 0
    made = sum(math.prod(outs[:j]) * math.prod(ins[:j]) * own[j] for j in sites if j)
    return (*[0] * (len(outs) - 1), math.prod(outs) * math.prod(ins)), made


def fewest(outs: Sequence[int], ins: Sequence[int], bond: int, inputs: int) -> str:
    """The way with the fewest multiply-adds for so many inputs at once; the first of equal ones."""

    def total(way: str) -> int:
        each, once = multiply_adds(outs, ins, bond, way)
        return inputs * sum(each) + once

    return min(WAYS, key=total)
