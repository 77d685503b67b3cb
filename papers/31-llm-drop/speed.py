"""Seconds of the processor for a prompt and a token, of the cuts at the bytes of four blocks, over the dense model's.

`python -m papers.31-llm-drop.run --speed`. Models take turns in one run, the dense one twice: what its second copy
differs by is what no difference measures as, and a ratio within that is withheld.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from papers.assets.smollm2 import judge
from papers.expected import record

from penjing.core import Plan
from penjing.core.places import cache_folder
from penjing.evaluate.statistics import Interval, paired_ratio
from penjing.profiling.speed import Speed, SpeedResult, compare_speed
from penjing.profiling.speed.ratios import why
from penjing.running.source import as_folder
from penjing.surgery import stream, verify

SIZE = "4 blocks"
WAYS = ("blocks", "attention", "MLPs", "neurons", "stream")
SPEED = Speed(
    tokens=256, context=512, rounds=9, prefills=1, steps=8, threads=1, dtype="float32", limit=900.0, warm=0.3,
    more=False, energy="no", clock="processor",
)  # fmt: skip


def main() -> None:
    """Cut, time, print, and keep with --write."""
    run: Any = importlib.import_module("papers.31-llm-drop.run")
    of = judge(1, run.LENGTH)
    matrices = sum(p.numel() for p in of.module.get_submodule("model.layers.0").parameters() if p.dim() == 2)
    asked = run.orders(matrices, of.costs(Plan()).after.parameters)[SIZE]
    plans = of.plans({way: asked[way] for way in WAYS})
    folders = {"dense": as_folder(of.source, cache_folder())}
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as place:
        for way, plan in plans.items():
            told = verify(of.source.weights(), of.source.layout, plan)
            folders[way] = Path(place) / way
            stream(of.source.weights(), of.source.layout, plan, folders[way], verified=told)
        timed = compare_speed(folders, speed=SPEED)
    found = {
        "size": SIZE, "rounds": SPEED.rounds, "prompt": SPEED.tokens, "context": SPEED.context,
        "load": [round(max(before), 1), round(max(os.getloadavg()), 1)], "ratios": ratios(timed),
    }  # fmt: skip
    print(json.dumps(found, indent=1))
    record(str(Path(__file__).with_name("run.py")), found, write="--write" in sys.argv, part="speed")


def ratios(timed: SpeedResult) -> Mapping[str, Mapping[str, Any]]:
    """Job -> way -> the ratio to the dense model with its interval, or why it is withheld; `itself` is the null."""
    out: dict[str, dict[str, Any]] = {}
    for job, by_model in timed.timings.seconds.items():
        first = [min(r) for r in by_model["dense"]]
        null = paired_ratio([min(r) for r in timed.timings.null[job]], first)
        row: dict[str, Any] = {"itself": listed(null)}
        for way, rounds in by_model.items():
            if way != "dense":
                found = paired_ratio([min(r) for r in rounds], first)
                row[way] = why(found, null) or listed(found)
        out[job] = row
    return out


def listed(found: Interval) -> list[float]:
    """The ratio, then its interval."""
    return [round(v, 3) for v in (found.value, found.low, found.high)]
