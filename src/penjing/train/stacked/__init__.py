"""Many small networks of one shape, trained at a time in one process: what one step costs is shared by all of them."""

from penjing.train.stacked.examples import Examples, Orders
from penjing.train.stacked.fit import evaluate, fit
from penjing.train.stacked.networks import convolutional, draw, perceptron, recurrent
from penjing.train.stacked.settings import Course
from penjing.train.stacked.stack import Stack

__all__ = [
    "Course",
    "Examples",
    "Orders",
    "Stack",
    "convolutional",
    "draw",
    "evaluate",
    "fit",
    "perceptron",
    "recurrent",
]
