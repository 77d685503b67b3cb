"""Figures that can be believed: what a model costs, how well it predicts, how close it stays to its original."""

from penjing.evaluate.costs import Costs, costs
from penjing.evaluate.fidelity import Fidelity, fidelity
from penjing.evaluate.figures import KEYS, figure_to_json, to_json
from penjing.evaluate.perplexity import Blocks, Protocol, Rolling, Stride, Text, perplexity

__all__ = [
    "KEYS", "Blocks", "Costs", "Fidelity", "Protocol", "Rolling", "Stride", "Text", "costs", "fidelity",
    "figure_to_json", "perplexity", "to_json",
]  # fmt: skip
