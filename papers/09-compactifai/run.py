"""CompactifAI (arXiv:2401.14109) on SmolLM2-135M: chains of cores against singular values, and a profile.

`python -m papers.09-compactifai.run` prints the figures; `--write` keeps them in expected.json. Nothing is healed.
"""

import json
import sys
import time
from typing import Any

import torch
from papers.assets.smollm2 import Judge, figures, judge, round_
from papers.expected import record
from torch import Tensor

from penjing.core import Budget, Plan
from penjing.maths.correlation import pearson
from penjing.maths.tensor_train import WAYS, bond_for, digits, multiply_adds, numbers
from penjing.select.ways import seconds

ROWS, LENGTH = 4, 128
KEEPS = (0.8, 0.6)
BLOCKS = "model.layers.1[0-4].*"
"""Five of the thirty blocks, so that a run takes minutes; the others stay whole."""
METHODS = {
    "chains": ("compactifai", {}),
    "singular values": ("svd", {"whiten": False}),
    "whitened singular values": ("svd", {}),
}
PROFILED, SHARE = (0, 5, 11, 17, 23, 29), 0.5
KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SHAPES = ((576, 576), (192, 576), (1536, 576), (576, 1536))
"""[out in] of SmolLM2's matrices."""


def compared(of: Judge, whole: Tensor) -> dict[str, dict[str, Any]]:
    """Method and share of the blocks' numbers -> figures, exact sizes, and what the factors miss of the matrices."""
    orders = {
        f"{n}, {k:g}": (m, Budget(keep=k), {"tensors": BLOCKS, **s}) for k in KEEPS for n, (m, s) in METHODS.items()
    }
    out = {}
    for name, plan in of.plans(orders).items():
        told = of.costs(plan)
        out[name] = {
            **figures(of.losses(plan), whole),
            "error": plan.made["error_share"],
            "parameters": round_(told.after.parameters / told.before.parameters),
            "bytes of float32": round_(told.after.bytes / told.before.bytes),
            "multiply-adds": round_((told.after.macs_per_token or 0) / (told.before.macs_per_token or 1)),
        }
        print(f"{name}: {out[name]}", flush=True)
    return out


def profile(of: Judge, whole: Tensor) -> dict[str, float]:
    """Increase of the loss in nats when half of the numbers of one block go, or of one kind of matrix in five."""
    rows = list(range(0, len(whole), 2))
    base = whole[rows]
    groups = {f"block {k}": f"model.layers.{k}.*" for k in PROFILED}
    groups |= {kind: f"{BLOCKS}.{kind}.weight" for kind in KINDS}
    orders = {n: ("compactifai", Budget(keep=SHARE), {"tensors": glob}) for n, glob in groups.items()}
    out: dict[str, float] = {}
    for name, plan in of.plans(orders).items():
        out[name] = round_((of.losses(plan, rows) - base).mean())
        print(f"{name}: {out[name]}", flush=True)
    return out


def timed() -> dict[str, dict[str, Any]]:
    """Shape and number of inputs -> milliseconds of the matrix and of each way to multiply by a chain of 60 %."""
    out = {}
    for shape in SHAPES:
        legs = [digits(n, 3) for n in shape]
        whole = shape[0] * shape[1]
        bond = bond_for(0.6, *legs, whole)
        ways = {w: round_(sum(multiply_adds(*legs, bond, w)[0]) / whole) for w in WAYS}
        for inputs in (1, 64, 512):
            found = seconds(*legs, bond, inputs)
            out[f"{shape[0]} x {shape[1]}, {inputs} inputs"] = {
                "bond": bond, "numbers": round_(numbers(*legs, bond) / whole), "multiply-adds": ways,
                "matrix in memory": round_(1000 * plain(shape, inputs)),
                **{f"way {w}": round_(1000 * s) for w, s in found.items()},
            }  # fmt: skip
    return out


def plain(shape: tuple[int, int], inputs: int) -> float:
    """Seconds of a product with the matrix itself, the least of eight."""
    weight, x, found = torch.ones(shape), torch.ones(inputs, shape[1]), float("inf")
    for _ in range(8):
        began = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        found = min(found, time.perf_counter() - began)
    return found


def readings(table: dict[str, Any], sensitivity: dict[str, float], times: dict[str, Any]) -> dict[str, bool]:
    """What the paper claims or leaves open, in so far as this can tell."""
    out = {}
    for keep in KEEPS:
        chain, plain_, white = (table[f"{n}, {keep:g}"] for n in METHODS)
        out[f"1 {keep:g}: chains lose less than singular values"] = chain["times"] < plain_["times"]
        out[f"1 {keep:g}: chains lose less than whitened singular values"] = chain["times"] < white["times"]
        out[f"2 {keep:g}: chains miss less of the matrices than singular values"] = chain["error"] < plain_["error"]
    blocks = torch.tensor([sensitivity[f"block {k}"] for k in PROFILED], dtype=torch.float64)
    depth = torch.arange(len(PROFILED), dtype=torch.float64)
    out["3 the first block is the most sensitive"] = int(blocks.argmax()) == 0
    out["3 damage falls with depth"] = float(pearson(depth, blocks)) < -0.3
    attention, mlp = (sum(sensitivity[k] for k in part) for part in (KINDS[:2], KINDS[4:]))
    out["4 queries and keys bear it better than MLPs"] = attention / 2 < mlp / 3
    out["5 some way to multiply by a chain is faster than by the matrix in memory"] = any(
        min(t[f"way {w}"] for w in WAYS) < t["matrix in memory"] for t in times.values()
    )
    return out


def measured() -> dict[str, Any]:
    """All of it."""
    of = judge(ROWS, LENGTH)
    whole = of.losses(Plan())
    times, table, found = timed(), compared(of, whole), profile(of, whole)
    return {
        "rows": 2 * ROWS, "tokens": 2 * ROWS * LENGTH, "seeds": 1, "dense": figures(whole, whole), "table": table,
        "profile": found, "profile rows": ROWS, "times": times,
        "readings": readings(table, found, times),
    }  # fmt: skip


def main() -> None:
    """Measure, print, and keep with --write."""
    found = measured()
    print(json.dumps(found, indent=1))
    record(__file__, found, write="--write" in sys.argv, part="language model")


if __name__ == "__main__":
    main()
