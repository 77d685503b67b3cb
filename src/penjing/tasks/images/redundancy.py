"""Which corruptions say the same: average-linkage clusters of how images suffer from them.

Source: Li et al., arXiv:2206.07918, find that corruption benchmarks are redundant; average linkage on 1 - correlation
is Sokal and Michener's (1958). One corruption of each cluster may stand for all, if the models' order stays.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.maths.kendall import kendall


@dataclass(frozen=True, eq=False)
class Redundancy:
    """`correlation` [k k] between the columns `names`; merges (a, b, distance, size) as scipy's linkage writes them.

    Cluster k + i comes of merge i. `groups` are the clusters left at the cut, `chosen` one name of each: the one with
    the highest mean correlation to its group. `constant` names columns that never change: they correlate with nothing.
    """

    names: tuple[str, ...]
    correlation: Tensor
    merges: tuple[tuple[int, int, float, int], ...]
    groups: tuple[tuple[str, ...], ...]
    chosen: tuple[str, ...]
    constant: tuple[str, ...]


def redundancy(columns: Tensor, names: Sequence[str], *, cut: float = 0.5) -> Redundancy:
    """Of `columns` [n k], one per corruption and one row per image: drops of margin, or shares of right answers.

    Clusters closer than `cut` in 1 - correlation are one.

    Raises:
        MeasureError: there are not two columns and two images, or not as many names.
    """
    if columns.ndim != 2 or columns.shape[1] != len(names) or columns.shape[1] < 2 or len(columns) < 2:
        raise MeasureError(f"found columns {list(columns.shape)} for {len(names)} names; needed two or more of both")
    centred = columns.double() - columns.double().mean(0)
    size = centred.norm(dim=0)
    flat = size <= 1e-12 * columns.double().norm(dim=0).clamp_min(1e-300)
    unit = torch.where(flat, 0.0, centred / torch.where(flat, 1.0, size))
    correlation = (unit.T @ unit).clamp(-1, 1).fill_diagonal_(1.0)
    found, members = _linked(1 - correlation, cut)
    merges = tuple((int(a), int(b), distance, int(size)) for a, b, distance, size in found)
    groups = tuple(tuple(names[i] for i in group) for group in members)
    chosen = tuple(names[max(g, key=lambda i: (float(correlation[i][g].sum()), -i))] for g in members)
    constant = tuple(n for n, f in zip(names, flat.tolist(), strict=True) if f)
    return Redundancy(tuple(names), correlation, merges, groups, chosen, constant)


def _linked(distance: Tensor, cut: float) -> tuple[list[list[float]], list[list[int]]]:
    """Merges (a, b, distance, size) from `distance` [k k], and the members of each cluster closer than `cut`."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    merges = linkage(squareform(distance.numpy(), checks=False), "average")
    labels = fcluster(merges, math.nextafter(cut, -math.inf), "distance").tolist()
    return merges.tolist(), [[i for i, held in enumerate(labels) if held == label] for label in dict.fromkeys(labels)]


def of_corruptions(figure: Measurement, *, cut: float = 0.5) -> Redundancy:
    """The redundancy of a `Corrupted` figure's corruptions, from each image's share of severities that it survives.

    Raises:
        MeasureError: the figure has no corruption columns, or fewer than two.
    """
    kinds = list(figure.details.get("kinds", ()))
    if not kinds:
        raise MeasureError(f"'{figure.name}' has no corruptions in its details; give a figure of a Corrupted task")
    levels = figure.details["grid"]["severities"]
    columns = [torch.tensor([figure.items[f"{k}/{s}"] for s in levels], dtype=torch.float64).mean(0) for k in kinds]
    return redundancy(torch.stack(columns, dim=1), kinds, cut=cut)


def kendall_tau(one: Sequence[float], two: Sequence[float]) -> float | None:
    """Kendall's tau-b of two orders of the same models, -1 to 1; None when one has only ties.

    Raises:
        MeasureError: they are of different lengths.
    """
    if len(one) != len(two):
        raise MeasureError(f"found {len(one)} and {len(two)} values; needed one of each model in both")
    found, _ = kendall(torch.tensor(one), torch.tensor(two))
    return None if math.isnan(found) else found
