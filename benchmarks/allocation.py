"""SmolLM2-135M with the same ranking of MLP neurons and several ways to share one budget over the layers.

    python benchmarks/allocation.py --keep 0.8 0.5

Neurons are ranked by energy on 16 rows of 128 tokens of the shipped calibration text. `measured` cuts each layer alone
on `--rows` of these rows and solves the integer programme with a size for each layer; `global` and `adaptive` rank the
energies over all layers; `uniform` keeps the same share of each. Each cut is tried as its mask on `--eval-rows` rows of
128 tokens of each of the shipped evaluation texts. `added` is the mean loss less the whole model's, `against uniform`
the paired difference from uniform; both with the standard error over rows. One seed: there is nothing random but the
draw of the rows.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from penjing.core import Budget, Keep, Plan
from penjing.core.places import cache_folder
from penjing.data import read_texts, shipped, token_rows
from penjing.io.assets import fetch_asset
from penjing.maths.topk import best
from penjing.methods.prune.measured import Method, energies
from penjing.planning.plans import Order, views_for
from penjing.running.live import Running
from penjing.running.source import resolve
from penjing.running.stock import load, tokenizer
from penjing.select.allocation import allocate
from penjing.select.axes import choose

LENGTH = 128


@dataclass
class Remembering:
    """A running model that runs no plan twice."""

    live: Running
    known: dict[str, float] = field(default_factory=dict)
    examples: int = 0

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        key = f"{plan.keeps()} {objective} {examples}"
        if key not in self.known:
            self.known[key] = self.live.value(plan, objective=objective, examples=examples)
        return self.known[key]


def main() -> None:
    """Print a markdown table, one line per share and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=float, nargs="+", default=[0.8, 0.5])
    parser.add_argument("--rows", type=int, default=4, help="rows that layers are measured on")
    parser.add_argument("--eval-rows", type=int, default=12, help="rows of each evaluation text")
    parser.add_argument("--objective", default="loss")
    given = parser.parse_args()
    folder = fetch_asset("smollm2")
    source = resolve(folder)
    model, layout = source.weights(), source.layout
    module, reader = load(folder, dtype=torch.float32), tokenizer(folder)
    method = Method(even=False, objective=given.objective, examples=given.rows)
    order = Order(method="measured", budget=Budget(keep=1.0), settings={}, rows=16, length=LENGTH, batch=4)
    (view,), _ = views_for(source, order, [method], cache=cache_folder(), module=module)
    view = replace(view, live=Remembering(view.running(), examples=view.running().examples))
    texts = [token_rows(reader, read_texts([p]), length=LENGTH)[: given.eval_rows] for p in shipped("evaluation")]
    rows = torch.cat(texts)
    tried = Running(module, list(rows.split(4)), layout)
    dense = tried.values(Plan())
    axes = choose(layout, "neurons.*")
    scores = {a.name: energies(model, layout, view.stats, a) for a in axes}
    print(f"whole model: {float(dense.mean()):.3f} nats over {len(rows)} rows of {LENGTH}\n", flush=True)
    print("| keep | sizes | smallest, largest | added | against uniform |\n|---|---|---|---|---|", flush=True)
    for keep in given.keep:
        found: dict[str, Tensor] = {}
        for way in ("uniform", "global", "adaptive", "measured"):
            budget = Budget(keep=keep)
            if way == "measured":
                began = time.monotonic()
                plan = method.plan(replace(view, budget=budget))
                told, took = plan.made["measured"], time.monotonic() - began
            else:
                counts = allocate(layout, axes, budget, scores, how=way, model=model)
                plan = Plan(tuple(Keep(a, best(scores[a], n)) for a, n in counts.items()))
            found[way] = tried.values(plan)
            print(line(keep, way, plan.keeps(), found, dense), flush=True)
        sums = f"predicted {told['predicted']:.3f}, found {told['found']:.3f} on the measured rows, {took:.0f} s"
        print(f"<!-- keep {keep:g}: {sums} -->", flush=True)


def line(keep: float, way: str, kept: Mapping[str, Sequence[int]], found: Mapping[str, Tensor], dense: Tensor) -> str:
    """One line of the table."""
    sizes = [len(u) for u in kept.values()]
    cells = [f"{keep:g}", way, f"{min(sizes)}, {max(sizes)} ({sum(sizes)} in all)", pair(found[way] - dense)]
    return "| " + " | ".join([*cells, "" if way == "uniform" else pair(found[way] - found["uniform"])]) + " |"


def pair(differences: Tensor) -> str:
    """Mean ± standard error."""
    return f"{float(differences.mean()):+.3f} ± {float(differences.std()) / len(differences) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
