"""Figures that can be believed: what a model costs, how well it predicts, how fast it really is."""

from penjing.evaluate.costs import Costs, costs
from penjing.evaluate.fidelity import Fidelity, fidelity
from penjing.evaluate.figures import KEYS, figure_to_json, to_json
from penjing.evaluate.measure import Comparison, measure, measure_many
from penjing.evaluate.perplexity import Blocks, Protocol, Rolling, Stride, Text, perplexity
from penjing.evaluate.speed import Speed, SpeedResult, Timings, compare_speed

__all__ = [
    "KEYS",
    "Blocks",
    "Comparison",
    "Costs",
    "Fidelity",
    "Protocol",
    "Rolling",
    "Speed",
    "SpeedResult",
    "Stride",
    "Text",
    "Timings",
    "compare_speed",
    "costs",
    "fidelity",
    "figure_to_json",
    "measure",
    "measure_many",
    "perplexity",
    "to_json",
]
