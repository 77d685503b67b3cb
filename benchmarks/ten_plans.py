"""Plans of ten methods from one pass of the data, over the costliest of these plans alone: passes and planning.

    python -m benchmarks.ten_plans MODEL_FOLDER [--groups units nine ten] [--rounds 3]

The model is in memory; nothing is taken from disk. First each plan is made alone, once, and `alone` has its seconds;
then a group together and its costliest take turns: the ratio is the median over rounds, with the quartiles.
- `ten`: six methods that cut units and four that zero single weights, of which `icbs` runs the model step after step.
- `nine`: the same without `icbs`, so that nothing hides behind it.
- `units`: the six that cut units.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.collect_overhead import ratio, timed
from penjing.core import Budget
from penjing.planning.order import Order
from penjing.planning.plans import make_plans
from penjing.running.source import resolve
from penjing.running.stock import load

UNITS = ("activation", "taylor", "minitron", "nirvana", "amp", "maw")
NINE = (*UNITS, "weight_magnitude", "wanda", "sparsegpt")
TEN = (*NINE, "icbs")
GROUPS = {"units": UNITS, "nine": NINE, "ten": TEN}


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help="all by default")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    source = resolve(wish.model)
    module = load(wish.model, dtype=torch.float32)
    orders = {
        name: Order(method=name, budget=Budget(keep=0.75), settings={}, rows=wish.rows, length=wish.length)
        for name in dict.fromkeys(n for group in wish.groups for n in GROUPS[group])
    }

    def planned(names: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory() as cache:
            make_plans(source, {n: orders[n] for n in names}, cache=Path(cache), module=module)

    planned(["maw"])  # the first plan warms up
    alone = {name: timed(partial(planned, [name])) for name in orders}
    out: dict[str, object] = {
        "model": wish.model.name, "tokens": wish.rows * wish.length, "threads": wish.threads,
        "alone": {name: round(seconds, 2) for name, seconds in alone.items()},
    }  # fmt: skip
    for group, names in ((g, GROUPS[g]) for g in wish.groups):
        costliest = max(names, key=lambda name: alone[name])
        found = ratio(partial(planned, names), partial(planned, [costliest]), wish.rounds)
        out[group] = {"methods": len(names), "costliest": costliest, **found}
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
