"""A sweep of models, each cut further than the last: what breaks, holds or rises, and what moves together."""

from penjing.evaluate.sweep.classes import Class, Trend, classify
from penjing.evaluate.sweep.contrasts import Contrast
from penjing.evaluate.sweep.facts import classes, correlations
from penjing.evaluate.sweep.series import Point, Series, from_table, series
from penjing.evaluate.sweep.together import Correlated, correlate

__all__ = [
    "Class",
    "Contrast",
    "Correlated",
    "Point",
    "Series",
    "Trend",
    "classes",
    "classify",
    "correlate",
    "correlations",
    "from_table",
    "series",
]
