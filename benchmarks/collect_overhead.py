"""What collecting statistics costs over the plain forward, and ten criteria together over the costliest alone.

    python -m benchmarks.collect_overhead MODEL_FOLDER [--rows 8] [--length 128] [--rounds 5] [--threads 1]

Each round runs both sides back to back; a ratio is the median over rounds, with the quartiles beside it.
- `null`: the plain forward over itself. What differs from 1 here is noise; a ratio within it tells nothing.
- `cheap`: the forward with mean, energy, activity and magnitude of every reader of neurons and heads, over the plain
  forward. To hold: at most 1.15.
- `together`: ten criteria's statistics in one pass over the costliest of them alone. Three of them differentiate three
  objectives, and each objective has a backward of its own; `alone` has the seconds of each by itself, once.
- `one objective`: the same with the setting `objective = "loss"` for all three. To hold: at most 1.5.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from penjing.calibrate import Pass
from penjing.core import Layout
from penjing.data import read_texts, shipped, token_rows
from penjing.planning.statistics_cache import Wanted, union
from penjing.running.source import resolve
from penjing.running.stock import load, tokenizer

CHEAP = frozenset({"input_mean", "input_energy", "input_activity", "input_magnitude"})
CRITERIA: dict[str, frozenset[str]] = {
    "energy": frozenset({"input_energy"}),
    "mean": frozenset({"input_mean"}),
    "activity": frozenset({"input_activity"}),
    "minitron": frozenset({"input_magnitude"}),
    "activation": frozenset({"input_second_moment"}),
    "wanda": frozenset({"input_energy"}),
    "sparsegpt": frozenset({"input_second_moment"}),
    "taylor": frozenset({"loss_taylor"}),
    "amp": frozenset({"entropy_taylor"}),
    "nirvana": frozenset({"output_gradient"}),
}
ONE_OBJECTIVE = {**CRITERIA, "amp": frozenset({"loss_taylor"}), "nirvana": frozenset({"loss_gradient"})}
EVERY_WEIGHT = {"wanda", "sparsegpt", "nirvana"}
"""Criteria that look at all weights of heads and neurons; the others look at those that read them."""


def weights(layout: Layout, *, reading: bool) -> list[str]:
    """The matrices that read neurons and heads, or all in which these occur."""
    axes = [a for a in layout.axes.values() if a.kind in {"neurons", "heads"}]
    found = [t for a in axes for t in ([r for r, _ in layout.readers(a.name)] if reading else layout.tensors(a.name))]
    return [t for t in dict.fromkeys(found) if len(layout.patterns[t]) == 2]


def asked(layout: Layout, criteria: Mapping[str, frozenset[str]]) -> dict[str, dict[str, frozenset[str]]]:
    """Criterion -> tensor -> the statistics that it wants."""
    return {
        name: dict.fromkeys(weights(layout, reading=name not in EVERY_WEIGHT), wanted)
        for name, wanted in criteria.items()
    }


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def plain(module: Any, batches: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for batch in batches:
            module(batch, use_cache=False)


def collected(module: Any, batches: list[torch.Tensor], wanted: Wanted) -> None:
    with Pass(module, wanted) as one_pass:
        for batch in batches:
            one_pass.take(batch)


def ratio(above: Callable[[], object], below: Callable[[], object], rounds: int) -> dict[str, float]:
    """Both sides in turn, the order changing each round."""
    found = []
    for i in range(rounds):
        if i % 2:
            bottom = timed(below)
            found.append(timed(above) / bottom)
        else:
            top = timed(above)
            found.append(top / timed(below))
    low, middle, high = statistics.quantiles(found, n=4) if len(found) > 1 else (found[0],) * 3
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    layout = resolve(wish.model, weights=False).layout
    module = load(wish.model, dtype=torch.float32)
    texts = read_texts(shipped("calibration"))
    rows = token_rows(tokenizer(wish.model), texts, length=wish.length, count=wish.rows, seed=0)
    batches = list(rows.split(4))
    tensors = weights(layout, reading=True)
    each = asked(layout, CRITERIA)
    alike = asked(layout, ONE_OBJECTIVE)

    def bare() -> None:
        plain(module, batches)

    def passing(wanted: Wanted) -> Callable[[], None]:
        return lambda: collected(module, batches, wanted)

    bare()  # the first round warms up
    alone = {name: timed(passing(wanted)) for name, wanted in each.items()}
    costliest = max(alone, key=lambda name: alone[name])
    out = {
        "model": wish.model.name, "tensors": len(tensors), "tokens": rows.numel(), "threads": wish.threads,
        "null": ratio(bare, bare, wish.rounds),
        "cheap": ratio(passing(dict.fromkeys(tensors, CHEAP)), bare, wish.rounds),
        "alone": {name: round(seconds, 2) for name, seconds in alone.items()},
        "costliest": costliest,
        "together": ratio(passing(union(*each.values())), passing(each[costliest]), wish.rounds),
        "one objective": ratio(passing(union(*alike.values())), passing(alike[costliest]), wish.rounds),
    }  # fmt: skip
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
