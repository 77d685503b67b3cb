"""A quarter of every free axis (of a transformer: of every MLP's neurons, which any config holds), by norm."""

import time
from typing import Any

from figures import main, measured
from modules import case, outcome

from penjing.core import Budget, Stats, View
from penjing.io import open_checkpoint
from penjing.layouts import from_module
from penjing.methods import METHODS
from penjing.surgery import apply


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`case`, `keep` -> seconds for the layout, and for plan and surgery (which copies, where the rival changes)."""
    made = case(told["case"])
    before = sum(p.numel() for p in made.module.parameters())
    with measured() as out:
        start = time.perf_counter()
        layout = from_module(made.module, made.example)
        out["graph_seconds"] = time.perf_counter() - start
        start = time.perf_counter()
        kinds = {a.kind for a in layout.axes.values()} if told["case"] == "cnn" else {"neurons"}
        free = [a.name for a in layout.axes.values() if a.state == "free" and a.kind in kinds]
        method = METHODS.build("magnitude", {"axes": ",".join(free), "multiple": 1})
        plan = method.plan(View(open_checkpoint(made.module), layout, Stats(), Budget(keep=told["keep"])))
        smaller = apply(made.module, layout, plan, example=made.example)
        out["cut_seconds"] = time.perf_counter() - start
    return {**out, "axes": len(free), **outcome(smaller, made.example, before)}


main(job)
