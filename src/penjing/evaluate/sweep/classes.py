"""What breaks, what holds and what rises as a model is cut further.

Source: the classes are those of Martra, arXiv:2512.22671. Added here: standard errors, tests corrected for their
number, chance levels, and a class for what was not shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from penjing.evaluate.statistics import Draws
from penjing.evaluate.sweep.contrasts import Contrast, evidence, relative_interval, slope, step
from penjing.evaluate.sweep.series import Point, Series, series
from penjing.maths.holm import holm

Class = Literal["fragile", "robust", "rising", "at chance", "undecided"]
USUAL = Draws()


@dataclass(frozen=True, kw_only=True)
class Trend:
    """What one figure does over a sweep, and why its class is what it is.

    `relative` is the smallest model's figure over the largest's, minus 1. `slope` is per unit of size, `step` from the
    mean of the smaller models up to the uncut one, both of the logarithm for perplexities: above 0 the figure falls as
    the model is cut. `p` is that of the clearer of the two, times 2 for having asked twice; `p_holm` is corrected for
    all figures. `evidence` says what the noise was taken from, `at_chance` at which sizes the figure cannot be told
    from its chance level.
    """

    name: str
    kind: Class
    relative: float | None
    relative_interval: tuple[float, float] | None
    slope: Contrast
    step: Contrast
    p: float
    p_holm: float
    points: int
    evidence: str
    at_chance: tuple[float, ...] = ()
    towards_chance: bool = False
    note: str = ""

    @property
    def falls(self) -> bool:
        """Whether the figure gets smaller as the model does, by the clearer of slope and step."""
        clearer = self.slope if self.slope.p <= self.step.p else self.step
        return clearer.value > 0


def classify(
    points: Sequence[Point], *, tolerance: float = 0.1, alpha: float = 0.05, how: Draws = USUAL
) -> tuple[Trend, ...]:
    """The class of every figure that all models of a sweep have, with its evidence, in the first model's order.

    - at chance: the uncut model cannot be told from chance, and there is no trend;
    - robust: the whole interval of the relative change from the largest to the smallest model is within `tolerance`;
    - fragile, rising: there is a trend, Holm-corrected p below `alpha`, to the worse or to the better;
    - undecided: none of these was shown. That is not the same as robust.

    With items, the noise is that of drawing the same items again for all models; with standard errors, theirs; in
    both the models are taken as they are. With neither, it is the scatter of the models about a line or a mean.

    Raises:
        MeasureError: fewer than three models, two of one size, or items that differ between models.
    """
    found = series(points, how=how)
    trends = [_trend(s, how) for s in found]
    corrected = holm([t.p for t in trends])
    out = []
    for trend, of, p in zip(trends, found, corrected, strict=True):
        kind = _class(replace(trend, p_holm=p), of, tolerance, alpha)
        out.append(replace(trend, p_holm=p, kind=kind, note=_note(kind, of)))
    return tuple(out)


def _trend(of: Series, how: Draws) -> Trend:
    first, last = float(of.values[0]), float(of.values[-1])
    by_line, by_step = slope(of, how), step(of, how)
    p = min(1.0, 2 * min(by_line.p, by_step.p))
    return Trend(
        name=of.name,
        kind="undecided",
        relative=last / first - 1 if first else None,
        relative_interval=relative_interval(of, how),
        slope=by_line,
        step=by_step,
        p=p,
        p_holm=p,
        points=len(of.sizes),
        evidence=evidence(of),
        at_chance=tuple(float(s) for s, c in zip(of.sizes, of.at_chance, strict=True) if c),
        towards_chance=of.to_chance,
    )


def _class(trend: Trend, of: Series, tolerance: float, alpha: float) -> Class:
    moved = trend.p_holm < alpha
    if of.at_chance[0] and not moved:
        return "at chance"
    if trend.relative_interval and max(map(abs, trend.relative_interval)) <= tolerance:
        return "robust"
    if not moved or not of.better:
        return "undecided"
    return "fragile" if trend.falls == (of.better == "higher") else "rising"


def _note(kind: Class, of: Series) -> str:
    if kind == "rising" and of.to_chance:
        return "rises towards its chance level: what an empty answer would score, too"
    if kind == "fragile" and of.at_chance[-1]:
        return "the smallest model cannot be told from chance"
    if kind == "undecided" and not of.better:
        return "which way is better is not known"
    if kind == "undecided":
        return "neither a trend nor its absence was shown; measure more items or more models"
    return ""
