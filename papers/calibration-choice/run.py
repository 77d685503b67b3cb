"""Whether the divergence on held-out rows tells which calibration data to take (arXiv:2509.14230, section 4.4).

`python -m papers.calibration-choice.run [OUT]` makes plans for SmolLM2-135M from ten draws of calibration text, by two
methods, and keeps what each gave in OUT/found.json as soon as it is there (default out/calibration-choice), so that a
run that was stopped goes on; then it prints the figures. `--write` keeps them in expected.json.

The divergence is what `penjing data select` goes by. The perplexity is of two other texts, which take no part in it.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from papers.expected import record
from torch import Tensor

from penjing.core import Budget, Plan
from penjing.core.places import cache_folder
from penjing.core.progress import silent
from penjing.data.shipped import shipped
from penjing.data.text import read_texts
from penjing.data.tokens import tokenise
from penjing.evaluate.windows import blocks
from penjing.io.assets import fetch_asset
from penjing.maths.correlation import fisher_interval, spearman, spearman_p
from penjing.maths.student import quantile, two_sided_p
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.live import Running
from penjing.running.source import Source, as_folder, resolve
from penjing.running.stock import load, tokenizer
from penjing.search.candidates import Drawn, Search, draw
from penjing.search.data_selection import rank

METHODS: dict[str, dict[str, Any]] = {"nirvana": {"axes": "neurons.*"}, "activation": {}}
KEEP = 0.7
SEEDS, ROWS, ROW, HELD = 10, 32, 128, 64
"""Draws of 32 x 128 tokens, the paper's calibration, and rows that are held out of all of them."""
WINDOWS, LENGTH = 8, 256
"""Windows of each of two texts for the perplexity."""
WHOLE = "whole"

Found = dict[str, dict[str, list[float]]]


class Subject:
    """The model, the draws, and two sets of examples: the held-out rows and the windows of both texts."""

    def __init__(self) -> None:
        self.source: Source = resolve(fetch_asset("smollm2"))
        folder = as_folder(self.source, cache_folder())
        self.module = load(folder)
        self.drawn = {name: drawn(self.source, name) for name in METHODS}
        held = next(iter(self.drawn.values())).parted.batches
        self.held = Running(self.module, list(held), self.source.layout)
        self.windows = Running(self.module, list(texts(folder)), self.source.layout)

    def tried(self, plan: Plan) -> dict[str, list[float]]:
        """The divergence of each held-out row and the loss of each window under a plan."""
        divergences = self.held.values(plan, objective="divergence")
        return {
            "divergence": [float(f"{float(v):.6g}") for v in divergences],
            "losses": [round(float(v), 5) for v in self.windows.values(plan)],
        }


def drawn(source: Source, name: str) -> Drawn:
    """The candidates for a method; what is held out is the same for both."""
    order = Order(method=name, budget=Budget(keep=KEEP), settings=METHODS[name], rows=ROWS, length=ROW, batch=4)
    return draw(source, order, Search(candidates=SEEDS, held_out=HELD), cache=cache_folder(), progress=silent)


def texts(folder: Path) -> Iterator[dict[str, Tensor]]:
    """Windows of both texts as batches, tokens [4 LENGTH] with themselves as labels."""
    reader = tokenizer(folder)
    for path in shipped("evaluation"):
        cut = blocks(tokenise(read_texts([path]), reader), LENGTH)[:WINDOWS]
        rows = torch.stack([torch.cat([w.inputs, w.targets[-1:]]) for w in cut])
        for part in rows.split(4):
            yield {"input_ids": part, "labels": part}


def play(out: Path) -> Found:
    """`method|seed` -> what was found; statistics, as large as the model, are not kept."""
    place = out / "found.json"
    found: Found = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    todo = [(WHOLE, 0)] + [(name, seed) for seed in range(SEEDS) for name in METHODS]
    if all(f"{n}|{s}" in found for n, s in todo):
        return found
    of = Subject()
    for name, seed in todo:
        key, began = f"{name}|{seed}", time.perf_counter()
        if key in found:
            continue
        plan = Plan()
        if name != WHOLE:
            order = of.drawn[name].candidates[seed].order
            with TemporaryDirectory(prefix="penjing-") as cache:
                plan = make_plan(of.source, order, cache=Path(cache), module=of.module)
        planned = time.perf_counter()
        found[key] = of.tried(plan)
        out.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(place)
        print(f"{key}: {planned - began:.0f} + {time.perf_counter() - planned:.0f} seconds", flush=True)
    return found


def values(found: Found, name: str, what: str) -> Tensor:
    """[seeds examples] float64."""
    return torch.tensor([found[f"{name}|{s}"][what] for s in range(SEEDS)]).double()


def reading(found: Found, name: str) -> dict[str, Any]:
    """One method: divergences and perplexities by seed, how they go together, and what the choice gains."""
    divergences, losses = values(found, name, "divergence"), values(found, name, "losses")
    ranked = rank([str(s) for s in range(SEEDS)], divergences)
    best = int(ranked[0].name)
    by_divergence = divergences.mean(1)
    parts = {"both": losses, "speeches": losses[:, :WINDOWS], "novel": losses[:, WINDOWS:]}
    return {
        "divergence": figures(by_divergence),
        "standard errors": figures(divergences.std(1) / HELD**0.5),
        "perplexity": {k: figures(v.mean(1).exp()) for k, v in parts.items()},
        "most to least perplexity": figure((losses.mean(1).max() - losses.mean(1).min()).exp()),
        "best seed": best,
        "seeds that tie with it": sum(t.verdict == "tie" for t in ranked),
        "spearman": {k: together(by_divergence, v.mean(1)) for k, v in parts.items()},
        "best to median": {k: against_median(v, best) for k, v in parts.items()},
    }


def together(divergence: Tensor, loss: Tensor) -> dict[str, Any]:
    """The rank correlation over the seeds, with its 95 % interval and p."""
    r = float(spearman(divergence, loss))
    interval = fisher_interval(r, len(loss), of_ranks=True)
    return {"r": figure(r), "interval": [figure(v) for v in interval], "p": figure(spearman_p(divergence, loss))}


def against_median(losses: Tensor, best: int) -> dict[str, Any]:
    """The ratio of perplexities of the best seed by divergence to the median seeds by perplexity, paired by window.

    Of ten seeds the median are two, whose losses are averaged. `rank` is the best's place by perplexity, from 1.
    """
    order = losses.mean(1).argsort().tolist()
    count = len(order)
    middle = order[(count - 1) // 2 : count // 2 + 1]
    gap = losses[best] - losses[middle].mean(0)
    error = float(gap.std()) / len(gap) ** 0.5
    reach = quantile(0.95, len(gap) - 1) * error
    return {
        "ratio": figure(gap.mean().exp()),
        "interval": [figure(math.exp(float(gap.mean()) + s * reach)) for s in (-1, 1)],
        "p": figure(two_sided_p(float(gap.mean()) / error, len(gap) - 1)) if error else 1.0,
        "rank": order.index(best) + 1,
    }


def held(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Which of the readings in README.md hold, of both texts together."""
    out: dict[str, bool] = {}
    for name, row in methods.items():
        tied, gain = row["spearman"]["both"], row["best to median"]["both"]
        out[f"{name} 1 rank correlation above 0.5"] = tied["r"] > 0.5
        out[f"{name} 1 its interval leaves out 0"] = tied["interval"][0] > 0
        out[f"{name} 2 best seed below the median"] = gain["ratio"] < 1
        out[f"{name} 2 its interval leaves out 1"] = gain["interval"][1] < 1
        out[f"{name} 3 the best is clear of all others"] = row["seeds that tie with it"] == 0
    return out


def figures(values: Tensor | Sequence[float]) -> list[float]:
    """Each with four digits."""
    return [figure(v) for v in values]


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/calibration-choice", type=Path)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    found = play(given.out)
    methods = {name: reading(found, name) for name in METHODS}
    whole = torch.tensor(found[f"{WHOLE}|0"]["losses"]).double()
    facts = {
        "keep": KEEP, "seeds": SEEDS, "calibration": f"{ROWS} x {ROW} tokens", "held out": f"{HELD} x {ROW} tokens",
        "windows": f"{len(whole)} x {LENGTH} tokens", "whole": figure(whole.mean().exp()),
    }  # fmt: skip
    out = {**facts, "methods": methods, "readings": held(methods)}
    print(json.dumps(out, indent=1))
    record(__file__, out, write=given.write)


if __name__ == "__main__":
    main()
