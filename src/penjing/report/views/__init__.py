"""What the page shows beside its main table, as data and geometry; no markup."""

from penjing.report.views.answers import answers, asked
from penjing.report.views.auto import tournament
from penjing.report.views.block_bars import block_bars
from penjing.report.views.curves import curves, reliability
from penjing.report.views.differences import differences
from penjing.report.views.flips import flips
from penjing.report.views.grids import grids
from penjing.report.views.kinds import kinds
from penjing.report.views.lines import Lines, Mark, lines, marks
from penjing.report.views.network import depths, zeros
from penjing.report.views.sensitivity import sensitivity
from penjing.report.views.sizes import size_curves
from penjing.report.views.sweep import classes, sweep
from penjing.report.views.together import correlations, reasons, withheld

__all__ = [
    "Lines", "Mark", "answers", "asked", "block_bars", "classes", "correlations", "curves", "depths", "differences",
    "flips", "grids", "kinds", "lines", "marks", "reasons", "reliability", "sensitivity", "size_curves", "sweep",
    "tournament", "withheld", "zeros",
]  # fmt: skip
