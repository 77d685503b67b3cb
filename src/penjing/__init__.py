"""Make neural networks small, and show what that cost.

`penjing.shrink(model, out=..., keep=0.75)` does the whole job; `open`, `layout`, `look`, `plan`, `apply`, `measure`
and `compare` are its steps; `heal` trains what a cut left, `train_model` a network from a recipe; `load` opens a
result, `export` writes it for another runtime; `compact` makes a pruned module smaller; `dense` multiplies factored
matrices out; `profile` tells what a model costs to run and where time goes, `sensitivity` what each cut alone would
cost, `select_data` which calibration data serves best, `search_shapes` which shape is worth its size, `prune_data`
which pictures may be left out of training; `run` repeats a run from its file; `study` runs an experiment over settings
and seeds; `table` reads a CSV for a module of your own.
`Choice`, `Data`, `Heal`, `Measure`, `Run` and `Source` hold the options that have no keyword of their own.
The nouns (`Layout`, `Plan`, `Budget`, ...) are plain data.
Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING

from penjing.lazy import names_of

if TYPE_CHECKING:
    from penjing.api import (
        apply,
        compact,
        compare,
        dense,
        export,
        heal,
        layout,
        load,
        look,
        measure,
        open,
        plan,
        profile,
        prune_data,
        run,
        search_shapes,
        select_data,
        sensitivity,
        shrink,
        table,
        train_model,
    )
    from penjing.core import Axis, Budget, Card, Checkpoint, Keep, Layout, Mask, Plan, Report, Stats, Update
    from penjing.errors import PenjingError
    from penjing.pipeline.request import Choice, Data, Heal, Measure, Request, Run, Source
    from penjing.studies import study

__version__ = "0.1.0"

_PLACES = {
    "penjing.api": (
        "apply", "compact", "compare", "dense", "export", "heal", "layout", "load", "look", "measure", "open", "plan",
        "profile", "prune_data", "run", "search_shapes", "select_data", "sensitivity", "shrink", "table",
        "train_model",
    ),
    "penjing.core": (
        "Axis", "Budget", "Card", "Checkpoint", "Keep", "Layout", "Mask", "Plan", "Report", "Stats", "Update",
    ),
    "penjing.errors": ("PenjingError",),
    "penjing.pipeline.request": ("Choice", "Data", "Heal", "Measure", "Request", "Run", "Source"),
    "penjing.studies": ("study",),
}  # fmt: skip
__getattr__ = names_of(__name__, _PLACES)

__all__ = [
    "Axis", "Budget", "Card", "Checkpoint", "Choice", "Data", "Heal", "Keep", "Layout", "Mask", "Measure",
    "PenjingError", "Plan", "Report", "Request", "Run", "Source", "Stats", "Update", "apply", "compact", "compare",
    "dense", "export", "heal", "layout", "load", "look", "measure", "open", "plan", "profile", "prune_data", "run",
    "search_shapes", "select_data", "sensitivity", "shrink", "study", "table", "train_model",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
