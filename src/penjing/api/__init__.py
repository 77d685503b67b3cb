"""What users call: each step of the path on its own, and the whole path in one."""

from penjing.api.data import prune_data
from penjing.api.dense import dense
from penjing.api.export import export
from penjing.api.heal import heal
from penjing.api.inspection import profile
from penjing.api.run import run
from penjing.api.search import search_shapes, select_data, sensitivity
from penjing.api.shrink import Shrunk, shrink
from penjing.api.steps import apply, compact, compare, layout, look, measure, open, plan
from penjing.api.train import Trained, train_model
from penjing.data.table import table
from penjing.running.stock import load

__all__ = [
    "Shrunk", "Trained", "apply", "compact", "compare", "dense", "export", "heal", "layout", "load", "look", "measure",
    "open", "plan", "profile", "prune_data", "run", "search_shapes", "select_data", "sensitivity", "shrink", "table",
    "train_model",
]  # fmt: skip
