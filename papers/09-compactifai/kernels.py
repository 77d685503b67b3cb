"""Tucker's convolutions (arXiv:1511.06530), the same question for kernels: a digits network with its windows factored.

`python -m papers.09-compactifai.kernels` prints the figures; `--write` keeps them in expected.json. Nothing is trained.
"""

import json
import sys
import time
from typing import Any

import torch
from papers.assets.digits_cnn import DIGITS_PREPARATION, digits_cnn, mnist_digits
from papers.expected import record
from torch import Tensor, nn

import penjing
from penjing import surgery
from penjing.core import Budget
from penjing.io import open_checkpoint
from penjing.layouts import costs

KEEPS, WINDOW, REPEATS = (0.75, 0.5, 0.25), "features.3.weight", 8
"""Shares of the second convolution, which has nearly all multiply-adds; the first has one input channel."""


def main() -> None:
    """Measure, print, and keep with --write."""
    images = mnist_digits()
    pixels, labels = DIGITS_PREPARATION(images.pixels), images.labels
    module = digits_cnn()
    before = right(module, pixels, labels)
    layout = penjing.layout(module, example=pixels[:2])
    out: dict[str, Any] = {"digits": len(labels), "dense": told(module, before, before, pixels, costs.macs(layout))}
    for keep in KEEPS:
        plan = penjing.plan(
            module, method="tucker", budget=Budget(keep=keep), settings={"tensors": WINDOW}, example=pixels[:2]
        )
        smaller = surgery.apply(module, layout, plan)
        macs = surgery.verify(open_checkpoint(module), layout, plan).after.macs
        found = told(smaller, right(smaller, pixels, labels), before, pixels, macs)
        out[f"{keep:g}"] = {**found, "error": plan.made["error_share"]}
    drop = {k: out[k]["accuracy"] - out["dense"]["accuracy"] for k in out if k not in ("digits", "dense")}
    out["readings"] = {f"{k}: accuracy falls by less than a point": d > -1.0 for k, d in drop.items()}
    print(json.dumps(out, indent=1))
    record(__file__, out, write="--write" in sys.argv, part="kernels")


def right(module: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    """[digits] bool."""
    with torch.no_grad():
        return torch.cat([module(x).argmax(1) for x in pixels.split(500)]) == labels


def told(module: nn.Module, found: Tensor, before: Tensor, pixels: Tensor, macs: float) -> dict[str, Any]:
    """Sizes, work, the least seconds of some passes of 500 digits, accuracy, and the error of its paired difference."""
    best = float("inf")
    with torch.no_grad():
        for _ in range(REPEATS):
            began = time.perf_counter()
            module(pixels[:500])
            best = min(best, time.perf_counter() - began)
    gap = found.double() - before.double()
    return {
        "parameters": sum(p.numel() for p in module.parameters()), "window": module.features[3].weight.numel(),
        "window kept": sum(p.numel() for n, p in module.features[3].named_parameters() if n.endswith("weight")),
        "multiply-adds": macs, "milliseconds": figure(1000 * best), "accuracy": figure(100 * found.double().mean()),
        "paired error": figure(100 * gap.std() / len(gap) ** 0.5),
    }  # fmt: skip


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


if __name__ == "__main__":
    main()
