"""Perplexity of SmolLM2-135M against the share of MLP neurons kept, by method, on the shipped held-out texts.

    python benchmarks/keep_curve.py --keep 0.9 0.75 0.5 --methods activation maw random

Statistics are collected once (32 rows of 512 tokens of the shipped calibration text). Every result is written as a
checkpoint, opened by the stock loader and measured in blocks of 512 tokens. Ratios are paired by block.
"""

import argparse
import tempfile
from pathlib import Path

from penjing.core import Budget, Plan, Stats, View
from penjing.core.places import cache_folder
from penjing.io.assets import fetch_asset
from penjing.methods import METHODS
from penjing.pipeline.carry_out import Manner, carry_out
from penjing.pipeline.evidence import Evidence, measured
from penjing.planning.plans import Order, gather
from penjing.running.source import as_folder, resolve


def main() -> None:
    """Print a markdown table, one line per method and share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=float, nargs="+", default=[0.9, 0.75, 0.5])
    parser.add_argument("--methods", nargs="+", default=["activation", "maw", "random"])
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cache = cache_folder()
    source = resolve(fetch_asset("smollm2"))
    stats = Stats()
    print("| method | keep | parameters | perplexity, speeches | ratio | perplexity, novel |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in given.methods:
        settings = {"seed": given.seed} if "seed" in [s.name for s in METHODS.settings(name)] else {}
        method = METHODS.build(name, settings)
        if (wanted := method.wants(source.layout).statistics) and not stats.values:
            order = Order(method=name, budget=Budget(keep=1.0), settings={}, seed=given.seed)
            stats, _ = gather(source, order, wanted, cache=cache)
        for keep in given.keep:
            plan = Plan(method.plan(View(source.weights(), source.layout, stats, Budget(keep=keep))).edits)
            with tempfile.TemporaryDirectory() as place:
                out = Path(place) / "small"
                carry_out(source, plan, out, Manner(reopening=False), cache=cache)
                report = measured([as_folder(source, cache), out], Evidence(windows=given.windows, speed=False))
            before, after = report.subjects
            ratio = next(r for r in report.ratios if r.name == "perplexity_ratio")
            values = {f.details.get("text"): (f, after.figure(f.name)) for f in before.figures if "text" in f.details}
            cells = [f"{a.value:.1f} → {b.value:.1f} ± {b.spread:.1f}" for a, b in values.values()]
            parameters = f"{after.figure('parameters').value:,.0f}"
            line = [name, f"{keep:g}", parameters, cells[0], f"{ratio.value:.2f} ± {ratio.spread:.2f}", *cells[1:]]
            print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
