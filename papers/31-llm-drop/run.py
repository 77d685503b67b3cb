"""LLM-Drop (arXiv:2406.15786) on SmolLM2-135M: blocks, attention, MLPs or both left out, at equal bytes and number.

`python -m papers.31-llm-drop.run` prints the figures; `--write` keeps them in expected.json. `--more` measures how well
the similarity chooses instead, `--speed` what the cuts save in time. Nothing is healed.
"""

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from papers.assets.smollm2 import CALIBRATION, Judge, figures, judge
from papers.expected import record
from torch import Tensor

from penjing.core import Budget, Keep, Plan, Replace, Spec
from penjing.data import read_texts, shipped, windows
from penjing.errors import PenjingError
from penjing.maths.correlation import spearman
from penjing.running.live import Running
from penjing.select.dropping import likeliest

turning = importlib.import_module("papers.31-llm-drop.turning")
readings = importlib.import_module("papers.31-llm-drop.readings")

ROWS, LENGTH = 16, 128
SIZES = (2, 4, 7, 10)
"""Blocks: what each way of cutting has to save at least, in bytes of matrices."""
COUNTS = (1, 2, 4, 8)
SEEDS = 3
ALONE = (0, 8, 16, 24)
"""The rows on which each part is left out alone: two of each text."""
PARTS = {"attention": "self_attn", "mlp": "mlp"}


def orders(matrices: int, whole: int) -> dict[str, dict[str, tuple[str, Budget, dict[str, Any]]]]:
    """Size -> way of cutting -> (method, budget, settings); all but whole blocks have the bytes as a limit."""
    out = {}
    for n in SIZES:
        share, limit = Budget(keep=1 - n / 30), Budget(parameters=whole - n * matrices)
        out[f"{n} blocks"] = {
            "blocks": ("blocks", share, {}),
            "blocks, a stretch": ("blocks", share, {"consecutive": True}),
            "blocks, by angle": ("angular", share, {}),
            "attention": ("sublayers", limit, {"part": "attention"}),
            "MLPs": ("sublayers", limit, {"part": "mlp"}),
            "both": ("sublayers", limit, {"part": "both"}),
            "neurons": ("activation", limit, {"multiple": 1}),
            "stream": ("slicegpt", limit, {}),
        }
    return out


def told(plan: Plan, of: Judge, whole: Tensor) -> dict[str, Any]:
    """Of one plan: figures, and exact shares of bytes, of multiply-adds, and of what the cache holds."""
    costs = of.costs(plan)
    before, after = costs.before, costs.after
    pairs = {
        "parameters": (after.parameters, before.parameters),
        "prefill": (after.macs, before.macs),
        "decode": (after.macs_per_token, before.macs_per_token),
        "cache": (after.kv_cache_bytes_per_token, before.kv_cache_bytes_per_token),
    }
    return {**figures(of.losses(plan), whole), **{k: round4((a or 0) / (b or 1)) for k, (a, b) in pairs.items()}}


def dropped(kind: str, places: Sequence[int]) -> Plan:
    """A plan that leaves these out: blocks, or the attention or MLP of blocks."""
    if kind == "block":
        return Plan((Keep("blocks", tuple(k for k in range(30) if k not in places)),))
    return Plan(tuple(Replace(f"model.layers.{k}.{PARTS[kind]}", Spec("nothing")) for k in places))


def calibration(rows: int) -> Tensor:
    """[rows length]: of the text that plans are made of."""
    from transformers import AutoTokenizer

    from penjing.core.places import cache_folder
    from penjing.io.assets import fetch_asset
    from penjing.running.source import as_folder, resolve

    tokenizer = AutoTokenizer.from_pretrained(as_folder(resolve(fetch_asset("smollm2")), cache_folder()))
    ids = torch.tensor(tokenizer("\n".join(read_texts(shipped("calibration"))))["input_ids"])
    return windows(ids, CALIBRATION["length"], rows)


class Bench:
    """The model, what the whole one loses on each row, and what plans make of it."""

    def __init__(self) -> None:
        """Open the model and run it whole."""
        self.of = judge(ROWS, LENGTH)
        self.whole = self.of.losses(Plan())

    def try_(self, name: str, plan: Plan) -> dict[str, Any]:
        """The figures of a plan, shown as they come."""
        found = told(plan, self.of, self.whole)
        print(f"{name}: {found}", file=sys.stderr, flush=True)
        return found

    def equal_bytes(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Size -> way -> figures; and what was refused."""
        layer = self.of.module.get_submodule("model.layers.0")
        matrices = sum(p.numel() for p in layer.parameters() if p.dim() == 2)
        asked = orders(matrices, self.of.costs(Plan()).after.parameters)
        table, refused = {}, {}
        losses = by_loss(self.of)
        for size, ways in asked.items():
            row, n = {}, int(size.split()[0])
            for way, order in ways.items():
                try:
                    row[way] = self.try_(f"{size}, {way}", self.of.plans({way: order})[way])
                except PenjingError as error:
                    refused[f"{size}, {way}"] = str(error)
            gone = likeliest(-losses, range(1, 29), n)
            row["blocks, by loss"] = self.try_(f"{size}, blocks, by loss", dropped("block", gone))
            table[size] = row
        return table, refused

    def equal_number(self, similar: Mapping[str, Tensor]) -> dict[str, Any]:
        """Number and kind -> figures of the most similar left out, and of three draws at four."""
        out: dict[str, Any] = {}
        for kind in PARTS:
            for n in COUNTS:
                out[f"{n} {kind}"] = self.try_(f"{n} {kind}", dropped(kind, likeliest(similar[kind], range(1, 29), n)))
            for seed in range(SEEDS):
                drawn = torch.randperm(28, generator=torch.Generator().manual_seed(seed))[:4] + 1
                name = f"4 {kind}, drawn {seed}"
                out[name] = self.try_(name, dropped(kind, sorted(drawn.tolist())))
        return out

    def at_once(self, similar: Mapping[str, Tensor]) -> dict[str, Any]:
        """What `otherwise` is held against."""
        asked = [(kind, n) for kind in PARTS for n in COUNTS[1:]]
        gone = {f"{n} {kind}": dropped(kind, likeliest(similar[kind], range(1, 29), n)) for kind, n in asked}
        return {name: self.try_(name, plan) for name, plan in gone.items()}

    def otherwise(self, similar: Mapping[str, Tensor]) -> dict[str, Any]:
        """The same with other rankings: without the residual, and measured again after each drop."""
        out: dict[str, Any] = {}
        for kind in PARTS:
            for n in COUNTS[1:]:
                gone = likeliest(similar[f"{kind}, no residual"], range(1, 29), n)
                out[f"{n} {kind}, no residual"] = self.try_(f"{n} {kind}, no residual", dropped(kind, gone))
        gone = self.one_after_another(COUNTS[-1])
        out["8 attention, one after another"] = self.try_("8 one after another", dropped("attention", gone))
        return out

    def one_after_another(self, count: int) -> list[int]:
        """Attention that goes when all are measured again after each drop."""
        gone: list[int] = []
        live, rows = Running(self.of.module, list(self.of.rows.split(4)), self.of.source.layout), calibration(8)
        for _ in range(count):
            with live.edited(dropped("attention", gone)) as module:
                now = torch.tensor(turning.turns(module, rows)["attention"]["cosine"])
            gone += likeliest(now, [k for k in range(1, 29) if k not in gone], 1)
        return gone

    def alone(self, similar: Mapping[str, Tensor]) -> dict[str, Any]:
        """Kind -> the loss that each adds when it alone is left out, and how its rank follows the similarity."""
        out = {}
        base = self.whole[list(ALONE)].mean()
        for kind in ("attention", "mlp", "block"):
            added = [float(self.of.losses(dropped(kind, [k]), ALONE).mean() - base) for k in range(30)]
            inner = torch.tensor(added[1:29])
            out[kind] = {
                "adds nats": [round4(a) for a in added],
                "rank correlation, all": round4(spearman(1 - similar[kind], torch.tensor(added))),
                "rank correlation, inner": round4(spearman(1 - similar[kind][1:29], inner)),
            }
            print(kind, out[kind], file=sys.stderr, flush=True)
        return out


def by_loss(of: Judge) -> Tensor:
    """[30]: the loss on 8 rows without each block that may go, as `blocks_by_loss` tells it; infinite at both ends."""
    from penjing.core.places import cache_folder
    from penjing.planning.order import Order
    from penjing.planning.plans import make_plan

    order = Order(method="blocks_by_loss", budget=Budget(keep=1 - 2 / 30), settings={}, rows=8, length=LENGTH)
    plan = make_plan(of.source, order, cache=cache_folder(), module=of.module)
    out = torch.full((30,), torch.inf, dtype=torch.float64)
    for k, loss in plan.made["losses"].items():
        out[int(k)] = loss
    return out


def elsewhere(of: Judge, similar: Mapping[str, Tensor]) -> dict[str, Any]:
    """What other texts, or no first position, choose: how many of the 8 most similar are the same, how ranks agree."""
    half = len(of.rows) // 2
    texts = {"speeches": of.rows[:half], "novel": of.rows[half:], "no first position": calibration(16)}
    out: dict[str, Any] = {}
    for text, rows in texts.items():
        found = turning.turns(of.module, rows)
        for kind in ("attention", "mlp", "block"):
            other = torch.tensor(found[kind]["later" if text == "no first position" else "cosine"])
            here, there = (set(likeliest(s, range(1, 29), 8)) for s in (similar[kind], other))
            rank = round4(spearman(similar[kind], other))
            out.setdefault(text, {})[kind] = {"same of 8": len(here & there), "rank correlation": rank}
    return out


def opened() -> tuple[Bench, dict[str, Tensor], dict[str, Any]]:
    """The bench, the cosine of each layer by view, and all that was seen of the calibration text."""
    bench = Bench()
    seen = turning.turns(bench.of.module, calibration(CALIBRATION["rows"]))
    similar = {view: torch.tensor(values["cosine"], dtype=torch.float64) for view, values in seen.items()}
    return bench, similar, {v: {k: [round4(x) for x in row] for k, row in values.items()} for v, values in seen.items()}


def measured() -> dict[str, Any]:
    """What each way of cutting costs, at equal bytes and at equal numbers."""
    bench, similar, seen = opened()
    table, refused = bench.equal_bytes()
    found = {
        "rows": 2 * ROWS, "tokens": 2 * ROWS * LENGTH, "seeds": SEEDS,
        "dense": {**figures(bench.whole, bench.whole), "bytes": bench.of.costs(Plan()).after.bytes},
        "equal bytes": table, "refused": refused, "equal number": bench.equal_number(similar), "similarity": seen,
    }  # fmt: skip
    return {**found, "readings": readings.of_cuts(found)}


def more() -> dict[str, Any]:
    """How well the similarity chooses: against each part's own loss, other rankings, other texts."""
    bench, similar, _ = opened()
    found = {
        "tokens": 2 * ROWS * LENGTH, "at once": bench.at_once(similar), "otherwise": bench.otherwise(similar),
        "alone": bench.alone(similar), "other texts": elsewhere(bench.of, similar),
    }  # fmt: skip
    return {**found, "readings": readings.of_choice(found)}


def round4(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Measure, print, and keep with --write; with --speed measure times instead."""
    if "--speed" in sys.argv:
        importlib.import_module("papers.31-llm-drop.speed").main()
        return
    part = "choice" if "--more" in sys.argv else "cuts"
    found = more() if part == "choice" else measured()
    print(json.dumps(found, indent=1))
    record(__file__, found, write="--write" in sys.argv, part=part)


if __name__ == "__main__":
    main()
