"""How two figures move together over a few models: coefficients, p values, intervals, and how much hangs on one point.

Source: Fisher's z: Fisher, Metron 1 (1921); its variance for ranks: Bonett and Wright, Psychometrika 65 (2000).
"""

import math
from itertools import permutations

import torch
from torch import Tensor

from penjing.errors import DataError
from penjing.maths import student

EXACT_RANKS = 8
"""Up to so many points the p of a rank correlation is counted over all orders; above, it is Student's."""


def pearson(x: Tensor, y: Tensor) -> Tensor:
    """[...]: Pearson's correlation of `x` and `y` over their last dimension [... points]; NaN where one is constant."""
    one, two = _centred(x), _centred(y)
    size = (one.square().sum(-1) * two.square().sum(-1)).sqrt()
    out = (one * two).sum(-1) / size
    return torch.where(size > 0, out.clamp(-1, 1), torch.full_like(out, math.nan))


def spearman(x: Tensor, y: Tensor) -> Tensor:
    """[...]: the correlation of the ranks of `x` and `y` [... points]; NaN where one is constant."""
    return pearson(ranks(x), ranks(y))


def ranks(values: Tensor) -> Tensor:
    """[... points], float64: 1 for the lowest of the last dimension; equals share the mean of their ranks."""
    from scipy.stats import rankdata

    return torch.from_numpy(rankdata(values.double().cpu().numpy(), axis=-1))


def pearson_p(r: float, points: int) -> float:
    """Two-sided p of a correlation over `points` if the two were independent and normal.

    Raises:
        DataError: fewer than three points.
    """
    _needs(points, 3)
    if abs(r) >= 1:
        return 0.0
    return student.two_sided_p(r * math.sqrt((points - 2) / (1 - r * r)), points - 2)


def spearman_p(x: Tensor, y: Tensor) -> float:
    """Two-sided p of the rank correlation of `x` and `y` [points]; exact up to `EXACT_RANKS` points.

    Raises:
        DataError: fewer than three points.
    """
    _needs(len(x), 3)
    found = float(spearman(x, y))
    if len(x) > EXACT_RANKS:
        return pearson_p(found, len(x))
    orders = torch.tensor(list(permutations(range(len(x)))))
    all_orders = spearman(x.expand(len(orders), -1), y[orders])
    return float((all_orders.abs() >= abs(found) - 1e-9).double().mean())


def fisher_interval(r: float, points: int, *, level: float = 0.95, of_ranks: bool = False) -> tuple[float, float]:
    """The bounds of a correlation over `points`, by Fisher's z; -1 to 1 for fewer than four points."""
    if points < 4:
        return -1.0, 1.0
    bounded = max(-1 + 1e-15, min(1 - 1e-15, r))
    variance = (1 + bounded * bounded / 2 if of_ranks else 1.0) / (points - 3)
    reach = float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64))) * math.sqrt(variance)
    middle = math.atanh(bounded)
    return math.tanh(middle - reach), math.tanh(middle + reach)


def leverage(x: Tensor) -> Tensor:
    """[points]: how much each point of `x` [points] pulls a line through all, 1/points to 1; they add up to 2."""
    gaps = _centred(x)
    return 1 / len(x) + gaps.square() / gaps.square().sum()


def _centred(x: Tensor) -> Tensor:
    x = x.double()
    return x - x.mean(-1, keepdim=True)


def _needs(points: int, least: int) -> None:
    if points < least:
        raise DataError(f"found {points} points; needed at least {least}, so measure more models")
