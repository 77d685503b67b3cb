"""The seven nouns. Nothing here imports anything but torch, and torch only with the nouns that hold tensors."""

from typing import TYPE_CHECKING

from penjing.lazy import names_of

if TYPE_CHECKING:
    from penjing.core.budget import Budget
    from penjing.core.checkpoint import Checkpoint
    from penjing.core.edit import Edit
    from penjing.core.edits.bridge import Bridge
    from penjing.core.edits.keep import Keep
    from penjing.core.edits.mask import Mask
    from penjing.core.edits.replace import Replace
    from penjing.core.edits.rotate import Rotate
    from penjing.core.edits.update import Update
    from penjing.core.example_scores import ExampleView, ScoresExamples, Trained
    from penjing.core.healing import Healing, Heals, Looks, Seen
    from penjing.core.layout import Axis, Blocks, Entry, Layout, Norm, Work, Writer
    from penjing.core.live import BlockByBlock, Live
    from penjing.core.method import Card, Method, Plans, Trains
    from penjing.core.pattern import Concat, Leaf, Pattern, Product
    from penjing.core.plan import Plan
    from penjing.core.report import Measurement, Report, Subject
    from penjing.core.spec import Spec
    from penjing.core.stats import Stats
    from penjing.core.training import Masks, Training
    from penjing.core.view import Examples, View, Wants

_PLACES = {
    "penjing.core.budget": ("Budget",),
    "penjing.core.checkpoint": ("Checkpoint",),
    "penjing.core.edit": ("Edit",),
    "penjing.core.edits.bridge": ("Bridge",),
    "penjing.core.edits.keep": ("Keep",),
    "penjing.core.edits.mask": ("Mask",),
    "penjing.core.edits.replace": ("Replace",),
    "penjing.core.edits.rotate": ("Rotate",),
    "penjing.core.edits.update": ("Update",),
    "penjing.core.example_scores": ("ExampleView", "ScoresExamples", "Trained"),
    "penjing.core.healing": ("Healing", "Heals", "Looks", "Seen"),
    "penjing.core.layout": ("Axis", "Blocks", "Entry", "Layout", "Norm", "Work", "Writer"),
    "penjing.core.live": ("BlockByBlock", "Live"),
    "penjing.core.method": ("Card", "Method", "Plans", "Trains"),
    "penjing.core.pattern": ("Concat", "Leaf", "Pattern", "Product"),
    "penjing.core.plan": ("Plan",),
    "penjing.core.report": ("Measurement", "Report", "Subject"),
    "penjing.core.spec": ("Spec",),
    "penjing.core.stats": ("Stats",),
    "penjing.core.training": ("Masks", "Training"),
    "penjing.core.view": ("Examples", "View", "Wants"),
}
__getattr__ = names_of(__name__, _PLACES)

__all__ = [
    "Axis", "BlockByBlock", "Blocks", "Bridge", "Budget", "Card", "Checkpoint", "Concat", "Edit", "Entry",
    "ExampleView", "Examples", "Healing", "Heals", "Keep", "Layout", "Leaf", "Live", "Looks", "Mask", "Masks",
    "Measurement", "Method", "Norm", "Pattern", "Plan", "Plans", "Product", "Replace", "Report", "Rotate",
    "ScoresExamples", "Seen", "Spec", "Stats", "Subject", "Trained", "Training", "Trains", "Update", "View", "Wants",
    "Work", "Writer",
]  # fmt: skip
