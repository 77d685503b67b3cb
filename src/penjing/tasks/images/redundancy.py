"""Which corruptions say the same: average-linkage clusters of how images suffer from them.

Source: Li et al., arXiv:2206.07918, find that corruption benchmarks are redundant; average linkage on 1 - correlation
is Sokal and Michener's (1958). One corruption of each cluster may stand for all, if the models' order stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.errors import MeasureError


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
    merges = average_linkage(1 - correlation)
    members = _left(merges, len(names), cut)
    groups = tuple(tuple(names[i] for i in group) for group in members)
    chosen = tuple(names[max(g, key=lambda i: (float(correlation[i][g].sum()), -i))] for g in members)
    constant = tuple(n for n, f in zip(names, flat.tolist(), strict=True) if f)
    return Redundancy(tuple(names), correlation, merges, groups, chosen, constant)


def average_linkage(distance: Tensor) -> tuple[tuple[int, int, float, int], ...]:
    """Merges (a, b, distance, size) from `distance` [k k]: always the closest two, by mean distance of their members.

    Of equally close ones the pair with the lowest numbers is merged first.
    """
    k = len(distance)
    live: dict[int, list[int]] = {i: [i] for i in range(k)}
    between = {(i, j): float(distance[i, j]) for i in range(k) for j in range(i + 1, k)}
    out: list[tuple[int, int, float, int]] = []
    for new in range(k, 2 * k - 1):
        (a, b), found = min(between.items(), key=lambda entry: (entry[1], entry[0]))
        sizes = len(live[a]), len(live[b])
        joined = live.pop(a) + live.pop(b)
        for other in live:
            one, two = between[_pair(a, other)], between[_pair(b, other)]
            between[other, new] = (one * sizes[0] + two * sizes[1]) / sum(sizes)
        between = {pair: d for pair, d in between.items() if not {a, b} & set(pair)}
        live[new] = joined
        out.append((a, b, found, len(joined)))
    return tuple(out)


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _left(merges: Sequence[tuple[int, int, float, int]], k: int, cut: float) -> list[list[int]]:
    """The members of each cluster once all merges below the cut are done, in order of their first member."""
    live: dict[int, list[int]] = {i: [i] for i in range(k)}
    for i, (a, b, distance, _) in enumerate(merges):
        if distance >= cut:
            break
        live[k + i] = sorted(live.pop(a) + live.pop(b))
    return sorted(live.values())


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
    x, y = (torch.tensor(v, dtype=torch.float64) for v in (list(one), list(two)))
    left, right = (x[:, None] - x).sign(), (y[:, None] - y).sign()
    size = float(left.abs().sum() * right.abs().sum()) ** 0.5
    return float((left * right).sum()) / size if size else None
