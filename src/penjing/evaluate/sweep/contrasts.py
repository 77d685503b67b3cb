"""What the models of a sweep say together: a weighted sum of one figure over them, with its noise.

Two such sums are asked of every figure: the slope of a straight line, and the step from the uncut model to the mean of
all others. Some figures fall as more is cut, others fall at the first cut and stay down; a slope alone misses those.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.evaluate.statistics import Draws
from penjing.evaluate.statistics.records import joint
from penjing.evaluate.sweep.series import Series
from penjing.maths import student
from penjing.maths.bootstrap import Bootstrap, Statistic, bootstrap


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of a figure over the models, its bounds, and the p of it being 0."""

    value: float
    low: float
    high: float
    p: float


def slope(of: Series, how: Draws) -> Contrast:
    """The change of the figure (of a perplexity's logarithm) per unit of size: above 0, it falls with the model."""
    gaps = of.sizes - of.sizes.mean()
    weights = gaps / gaps.square().sum()
    left = of.heights - of.heights.mean() - (of.heights @ weights) * gaps
    return _contrast(of, weights, float(left.square().sum()), how)


def step(of: Series, how: Draws) -> Contrast:
    """The figure of the uncut model (a perplexity's logarithm) minus the mean of the others: above 0, it falls."""
    others = len(of.sizes) - 1
    weights = torch.full_like(of.sizes, -1 / others)
    weights[0] = 1
    rest = of.heights[1:]
    return _contrast(of, weights, float((rest - rest.mean()).square().sum()), how)


def evidence(of: Series) -> str:
    """What the noise is taken from, in words."""
    if of.records is not None:
        kind = "items" if of.records[0].clusters is None else "clusters of items"
        return f"bootstrap over {len(of.records[0].rows)} {kind}, the same for all models"
    if of.errors is not None:
        return "the models' standard errors, as of different data"
    return f"scatter of {len(of.sizes)} models, Student's t"


def relative_interval(of: Series, how: Draws) -> tuple[float, float] | None:
    """The bounds of the smallest model's figure over the largest's, minus 1; None when that one is 0.

    From items both are drawn together; from standard errors they count as independent; from scatter it is the change
    along the fitted line.
    """
    first, last = float(of.values[0]), float(of.values[-1])
    if not first:
        return None
    if of.records is not None:
        rows, figures = joint(of.records)
        return _draw(rows, lambda t: figures(t)[..., -1] / figures(t)[..., 0] - 1, how).interval(how.level)
    if of.errors is not None:
        error = math.hypot(float(of.errors[-1]), float(of.errors[0]) * last / first) / abs(first)
        reach = _normal(how.level) * error
        return last / first - 1 - reach, last / first - 1 + reach
    found, span = slope(of, how), float(of.sizes[-1] - of.sizes[0])
    if of.logarithmic:
        ends = [math.expm1(min(700.0, b * span)) for b in (found.low, found.high)]
    else:
        ends = [b * span / first for b in (found.low, found.high)]
    return min(ends), max(ends)


def _contrast(of: Series, weights: Tensor, left: float, how: Draws) -> Contrast:
    """From items, from standard errors, or from the squares `left` of points about their model."""
    value = float(of.heights @ weights)
    if of.records is not None:
        rows, figures = joint(of.records)
        drawn = _draw(rows, lambda t: (figures(t).log() if of.logarithmic else figures(t)) @ weights, how)
        return Contrast(value, *drawn.interval(how.level), drawn.p())
    if of.errors is not None:
        errors = of.errors / of.values if of.logarithmic else of.errors
        error, reach = float((errors * weights).norm()), _normal(how.level)
        p = math.erfc(abs(value) / error / math.sqrt(2)) if error else float(value == 0)
    else:
        freedom = len(of.sizes) - 2
        error, reach = math.sqrt(left / freedom) * float(weights.norm()), student.quantile(how.level, freedom)
        p = student.two_sided_p(value / error, freedom) if error else float(value == 0)
    return Contrast(value, value - reach * error, value + reach * error, p)


def _draw(rows: Tensor, statistic: Statistic, how: Draws) -> Bootstrap:
    return bootstrap(rows, statistic, generator=torch.Generator().manual_seed(how.seed), draws=how.draws)


def _normal(level: float) -> float:
    return float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))
