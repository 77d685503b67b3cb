"""The seven nouns. Nothing here imports anything but torch."""

from penjing.core.budget import Budget
from penjing.core.checkpoint import Checkpoint
from penjing.core.layout import Axis, Blocks, Entry, Layout, Norm, Work, Writer
from penjing.core.live import Live, Walk
from penjing.core.method import Card, Method
from penjing.core.pattern import Concat, Leaf, Pattern, Product
from penjing.core.plan import Edit, Keep, Mask, Plan, Update
from penjing.core.report import Measurement, Report, Subject
from penjing.core.stats import Stats

__all__ = [
    "Axis", "Blocks", "Budget", "Card", "Checkpoint", "Concat", "Edit", "Entry", "Keep", "Layout", "Leaf", "Live",
    "Mask", "Measurement", "Method", "Norm", "Pattern", "Plan", "Product", "Report", "Stats", "Subject", "Update",
    "Walk", "Work", "Writer",
]  # fmt: skip
