"""What figures are worth: standard errors, intervals, paired tests, and when a ratio of times may be believed."""

from penjing.evaluate.statistics.compared import VERDICTS, Compared, at_chance, compare_figures, compared_to_json
from penjing.evaluate.statistics.facts import differences
from penjing.evaluate.statistics.interval import Interval
from penjing.evaluate.statistics.means import mean_ratio
from penjing.evaluate.statistics.paired import (
    Drawn,
    Draws,
    Flips,
    both,
    difference,
    flips,
    mcnemar,
    own_interval,
    ratio,
    recovery,
)
from penjing.evaluate.statistics.quantiles import interquartile_range, median, quantile
from penjing.evaluate.statistics.records import Records, aligned, records
from penjing.evaluate.statistics.times import NULL_LIMIT, paired_ratio, why_withheld

__all__ = [
    "NULL_LIMIT",
    "VERDICTS",
    "Compared",
    "Drawn",
    "Draws",
    "Flips",
    "Interval",
    "Records",
    "aligned",
    "at_chance",
    "both",
    "compare_figures",
    "compared_to_json",
    "difference",
    "differences",
    "flips",
    "interquartile_range",
    "mcnemar",
    "mean_ratio",
    "median",
    "own_interval",
    "paired_ratio",
    "quantile",
    "ratio",
    "records",
    "recovery",
    "why_withheld",
]
