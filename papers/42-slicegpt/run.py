"""SliceGPT (arXiv:2401.15024) on SmolLM2-135M: converted, rotated, sliced; one rotation and one for each block.

`python -m papers.42-slicegpt.run` prints the figures; `--write` keeps them in expected.json. Nothing is healed.
"""

import json
import sys
from typing import Any

import torch
from papers.assets.smollm2 import Judge, figures, judge
from papers.expected import record

from penjing.core import Budget, Plan, Rotate
from penjing.errors import BudgetError

ROWS, LENGTH = 4, 128
SLICES = (0.1, 0.2, 0.3)
METHODS = {"one rotation": "slicegpt", "one a block": "slicegpt_blocks"}


def orders() -> dict[str, tuple[str, Budget, dict[str, Any]]]:
    """Every row of the table that is smaller than the model; widths are rounded down to multiples of 72 (9 heads)."""
    out: dict[str, tuple[str, Budget, dict[str, Any]]] = {}
    for name, method in METHODS.items():
        out[f"{name}, rotated"] = (method, Budget(keep=1.0), {})
        for slice_ in SLICES[1:]:
            for basis in ("pca", "random"):
                out[f"{name}, {slice_:.0%}, {basis}"] = (method, Budget(keep=1 - slice_), {"basis": basis})
            if method == "slicegpt_blocks":
                own = {"basis": "pca", "ahead": 0}
                out[f"{name}, {slice_:.0%}, own axes alone"] = (method, Budget(keep=1 - slice_), own)
    return out


def told(plan: Plan, of: Judge, whole: torch.Tensor) -> dict[str, Any]:
    """Of one plan: figures, the width, and exact shares of parameters and multiply-adds."""
    costs = of.costs(plan)
    share = {
        "parameters": figure(costs.after.parameters / costs.before.parameters),
        "multiply-adds": figure((costs.after.macs_per_token or 0) / (costs.before.macs_per_token or 1)),
    }
    kept = plan.made.get("kept", {}).get("residual", {})
    more = {"width": kept["units"], "bridges": plan.made.get("bridges", {}).get("parameters", 0)} if kept else {}
    return {**figures(of.losses(plan), whole), **share, **more}


def measured() -> dict[str, Any]:
    """All rows of the table."""
    of = judge(ROWS, LENGTH)
    whole = of.losses(Plan())
    size = of.source.layout.axes["residual"].size
    table = {"dense": {**figures(whole, whole), "parameters": 1.0, "multiply-adds": 1.0}}
    table["converted"] = told(Plan((Rotate("residual", torch.eye(size)),)), of, whole)
    refused = {}
    for name, method in METHODS.items():
        try:
            of.plans({name: (method, Budget(keep=1 - SLICES[0]), {})})
        except BudgetError as error:
            refused[f"{name}, {SLICES[0]:.0%}"] = str(error)
    for name, plan in of.plans(orders()).items():
        table[name] = told(plan, of, whole)
        print(f"{name}: {table[name]}", flush=True)
    return {
        "rows": 2 * ROWS, "tokens": 2 * ROWS * LENGTH, "seeds": 1, "table": table, "refused": refused,
        "readings": readings(table, refused),
    }  # fmt: skip


def readings(table: dict[str, dict[str, Any]], refused: dict[str, str]) -> dict[str, bool]:
    """What the paper and its spec claim, in so far as this can tell."""
    exact = [table[n]["times"] for n in ("converted", *(f"{m}, rotated" for m in METHODS))]
    out = {"1 converted and rotated, perplexity moves by less than 0.1 %": all(abs(t - 1) < 1e-3 for t in exact)}
    for slice_ in SLICES[1:]:
        for m in METHODS:
            pca, drawn = (table[f"{m}, {slice_:.0%}, {b}"]["times"] for b in ("pca", "random"))
            out[f"2 {m}, {slice_:.0%}: principal axes lose less than axes at random"] = pca < drawn
    out["6 a slice of 10 % makes this tied model smaller"] = not refused
    for slice_ in SLICES[1:]:
        own, one = (table[f"{m}, {slice_:.0%}, pca"]["times"] for m in ("one a block", "one rotation"))
        out[f"3 {slice_:.0%}: a rotation for each block loses less than one"] = own < one
        alone = table[f"one a block, {slice_:.0%}, own axes alone"]["times"]
        out[f"3 {slice_:.0%}: axes of one's own alone lose less than one rotation"] = alone < one
        own = table[f"one a block, {slice_:.0%}, pca"]["parameters"]
        out[f"4 {slice_:.0%}: with bridges, at least half of the slice is saved in parameters"] = 1 - own >= slice_ / 2
        out[f"5 {slice_:.0%}: perplexity stays within 1.1 times the dense model's"] = (
            table[f"one a block, {slice_:.0%}, pca"]["times"] <= 1.1
        )
    return out


def figure(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def main() -> None:
    """Measure, print, and keep with --write."""
    found = measured()
    print(json.dumps(found, indent=1))
    record(__file__, found, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
