"""Multiple choice by log-likelihood: the styles of the known benchmarks, TruthfulQA, and the requests beneath."""

from penjing.tasks.choices.grades import METRICS
from penjing.tasks.choices.likelihood import Likelihoods, log_likelihoods
from penjing.tasks.choices.multiple import MultipleChoice
from penjing.tasks.choices.requests import Request, encode
from penjing.tasks.choices.styles import STYLES, Style, style
from penjing.tasks.choices.truthful import TruthfulQA

__all__ = [
    "METRICS",
    "STYLES",
    "Likelihoods",
    "MultipleChoice",
    "Request",
    "Style",
    "TruthfulQA",
    "encode",
    "log_likelihoods",
    "style",
]
