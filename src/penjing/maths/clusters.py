"""Clusters of directions: k-means of rows of length 1, by their cosine.

Source: Dhillon & Modha, Machine Learning 42 (2001), for spherical k-means; Arthur & Vassilvitskii, SODA 2007, for the
first centres (k-means++), with 1 - cosine as the squared distance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from penjing.errors import DataError

STEPS = 100


@dataclass(frozen=True, eq=False)
class Clusters:
    """`centres` [clusters width], of length 1; `member` [n], the cluster of each row; `cost`, the sum of 1 - cosine."""

    centres: Tensor
    member: Tensor
    cost: float


def spherical(rows: Tensor, count: int, *, restarts: int = 4, seed: int = 0) -> Clusters:
    """The best of so many restarts on rows [n width] of length 1; no cluster is empty.

    Raises:
        DataError: there are fewer rows than clusters, or none is asked for.
    """
    if not 1 <= count <= len(rows):
        raise DataError(f"found {len(rows)} rows for {count} clusters; needed one cluster or more, and as many rows")
    generator = torch.Generator().manual_seed(seed)
    tries = [_settled(rows, _first(rows, count, generator)) for _ in range(restarts)]
    return min(tries, key=lambda c: c.cost)


def _first(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres drawn among the rows, each with a chance that grows with its distance from those before."""
    centres = [rows[int(torch.randint(len(rows), (1,), generator=generator))]]
    far = (1 - rows @ centres[0]).clamp_min(0)
    for _ in range(count - 1):
        chances = far if float(far.sum()) > 0 else torch.ones_like(far)
        centres.append(rows[int(torch.multinomial(chances.double(), 1, generator=generator))])
        far = torch.minimum(far, (1 - rows @ centres[-1]).clamp_min(0))
    return torch.stack(centres)


def _settled(rows: Tensor, centres: Tensor) -> Clusters:
    member = torch.full((len(rows),), -1)
    for _ in range(STEPS):
        alike = rows @ centres.T
        best, new = alike.max(1)
        new = _filled(new, best, len(centres))
        if torch.equal(new, member):
            break
        member = new
        sums = torch.zeros_like(centres).index_add_(0, member, rows)
        centres = normalize(sums, dim=1)
    own = (rows * centres[member]).sum(1)
    return Clusters(centres, member, float((1 - own).sum()))


def _filled(member: Tensor, alike: Tensor, count: int) -> Tensor:
    """Give each empty cluster the row that is least like its centre, of a cluster that has others."""
    sizes = torch.bincount(member, minlength=count)
    if bool((sizes > 0).all()):
        return member
    member, alike = member.clone(), alike.clone()
    for empty in (sizes == 0).nonzero()[:, 0].tolist():
        for place in alike.argsort().tolist():
            if sizes[member[place]] > 1:
                sizes[member[place]] -= 1
                member[place], sizes[empty], alike[place] = empty, 1, torch.inf
                break
    return member
