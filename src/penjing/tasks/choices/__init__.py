"""Multiple choice by log-likelihood: tasks, styles, and the requests beneath."""

from penjing.tasks.choices.grades import METRICS
from penjing.tasks.choices.likelihood import Likelihoods, log_likelihoods
from penjing.tasks.choices.multiple import MultipleChoice
from penjing.tasks.choices.requests import Request, encode
from penjing.tasks.choices.styles import PLAIN, QUESTION, Style

__all__ = [
    "METRICS",
    "PLAIN",
    "QUESTION",
    "Likelihoods",
    "MultipleChoice",
    "Request",
    "Style",
    "encode",
    "log_likelihoods",
]
