"""Kendall's tau-b: how far two orders agree, with ties, and its interval over what was drawn.

Source: Kendall, Biometrika 33 (1945); the interval is the bootstrap's, bias-corrected, without acceleration.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from penjing.errors import DataError

DRAWS = 400


class Agreement(NamedTuple):
    """Tau-b, -1 to 1 (NaN where one is constant), its two-sided p, and the ends of its 95 % interval."""

    tau: float
    p: float
    low: float
    high: float


def kendall(x: Tensor, y: Tensor) -> tuple[float, float]:
    """(tau-b, two-sided p of no agreement) of `x` and `y` [points]; NaN and 1 where one is constant.

    Raises:
        DataError: fewer than two points, or not as many of both.
    """
    from scipy.stats import kendalltau

    if len(x) != len(y) or len(x) < 2:
        raise DataError(f"found {len(x)} and {len(y)} points; needed as many of both, and 2 or more")
    if bool((x == x[0]).all()) or bool((y == y[0]).all()):
        return math.nan, 1.0
    found = kendalltau(x.double().numpy(), y.double().numpy())
    return float(found.statistic), float(found.pvalue)  # type: ignore[attr-defined]


def agreement(x: Tensor, y: Tensor, *, seed: int = 0, draws: int = DRAWS) -> Agreement:
    """Tau-b of [points] with its interval over the points, drawn anew `draws` times.

    Raises:
        DataError: as `kendall`.
    """
    tau, p = kendall(x, y)
    if math.isnan(tau):
        return Agreement(tau, p, -1.0, 1.0)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for picks in torch.randint(len(x), (draws, len(x)), generator=generator):
        drawn = kendall(x[picks], y[picks])[0]
        found.append(tau if math.isnan(drawn) else drawn)
    ordered = torch.tensor(found, dtype=torch.float64).sort().values
    # The same point drawn twice is a tie, which pulls tau-b of a draw nowhere on the mean; its median may still be off.
    below = float((ordered < tau).double().mean() + (ordered == tau).double().mean() / 2)
    bias = _quantile(min(max(below, 0.5 / draws), 1 - 0.5 / draws))
    places = [_share(2 * bias + _quantile(level)) * (draws - 1) for level in (0.025, 0.975)]
    return Agreement(tau, p, float(ordered[int(places[0])]), float(ordered[math.ceil(places[1])]))


def _quantile(share: float) -> float:
    return float(torch.special.ndtri(torch.tensor(share, dtype=torch.float64)))


def _share(value: float) -> float:
    return float(torch.special.ndtr(torch.tensor(value, dtype=torch.float64)))
