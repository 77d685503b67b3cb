"""How long one pass of a module in memory takes, beside another one's, with the first against itself as the null."""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

from penjing.core import Measurement
from penjing.evaluate.statistics import interquartile_range, median

FORWARD = Measurement(
    name="forward_seconds", value=None, unit="seconds", label="Time per pass", better="lower", group="time"
)
ROUNDS, FEW = 7, 3
"""Rounds of all; of passes that take long, few."""
LONG = 0.5
LEAST_SECONDS = 0.01
"""A round's passes last at least so long, so that the clock's own grain does not show."""

Run = Callable[[], object]


def forward_times(
    first: Run, second: Run, *, protocol: str, subjects: tuple[str, str]
) -> tuple[tuple[Measurement, Measurement], Measurement]:
    """((the time of one pass of each), their ratio), taken in turn: first, second, first again.

    The ratio is withheld where the first against itself is further from 1 than the second is.
    """
    passes, once = _passes(first)
    count = FEW if once > LONG else ROUNDS
    rounds: list[tuple[float, float, float]] = []
    for _ in range(count):
        once, other, again = (_seconds(run, passes) for run in (first, second, first))
        rounds.append((once, other, again))
    how = f"{protocol}; median of {count} rounds of {passes} passes each, in turn"
    own = [t for once, _, again in rounds for t in (once, again)]
    figures = _figure(own, how), _figure([other for _, other, _ in rounds], how)
    ratios = [2 * other / (once + again) for once, other, again in rounds]
    nulls = sorted(again / once for once, _, again in rounds)
    return figures, _ratio(median(ratios), ratios, nulls, how, subjects)


def _ratio(
    value: float, ratios: list[float], nulls: list[float], how: str, subjects: tuple[str, str]
) -> Measurement:  # fmt: skip
    null = median(nulls)
    details = {
        "base": subjects[0], "subject": subjects[1], "null": null, "null_spread": interquartile_range(nulls) / 2,
        "null_interval": (nulls[0], nulls[-1]),
    }  # fmt: skip
    hidden = abs(null - 1) >= abs(value - 1)
    why = f"withheld: the original against itself gave {null:.3f}, further from 1 than {value:.3f}" if hidden else ""
    return Measurement(
        name="forward_seconds_ratio", value=None if hidden else value, unit="times the original's", n=len(ratios),
        spread=interquartile_range(ratios), spread_kind="inter-quartile range", protocol=how, details=details,
        note=why,
    )  # fmt: skip


def _figure(seconds: list[float], how: str) -> Measurement:
    return replace(
        FORWARD, value=median(seconds), n=len(seconds), spread=interquartile_range(seconds),
        spread_kind="inter-quartile range", protocol=how,
    )  # fmt: skip


def _passes(run: Run) -> tuple[int, float]:
    """(passes of a round, seconds of one)."""
    run()  # the first pass makes what later ones find
    once = _seconds(run, 1)
    return max(1, min(1000, round(LEAST_SECONDS / max(once, 1e-9)))), once


def _seconds(run: Run, passes: int) -> float:
    start = perf_counter()
    for _ in range(passes):
        run()
    return (perf_counter() - start) / passes
