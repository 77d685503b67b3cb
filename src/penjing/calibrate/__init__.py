"""Measuring a model on data, once, for any number of methods.

`collect` is one pass in memory, `collect_by_blocks` one with a single block in memory at a time, `Pass` one that can
be put away and taken up again.
"""

from penjing.calibrate.batches import Batch
from penjing.calibrate.blocks import collect_by_blocks, measure_by_blocks
from penjing.calibrate.collect import Pass, as_stats, collect
from penjing.calibrate.means import Means
from penjing.calibrate.objectives import OBJECTIVES, objective, per_example
from penjing.calibrate.shell import stored_names
from penjing.calibrate.statistics import STATISTICS, dearest, find, known

__all__ = [
    "OBJECTIVES", "STATISTICS", "Batch", "Means", "Pass", "as_stats", "collect", "collect_by_blocks", "dearest", "find",
    "known", "measure_by_blocks", "objective", "per_example", "stored_names",
]  # fmt: skip
