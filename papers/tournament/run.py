"""Every criterion on one model, at equal widths: SmolLM2-135M, four budgets, calibration seeds, two held-out texts.

`python -m papers.tournament.run [OUT] [--seeds N]` keeps the loss of every window in OUT/losses.json as soon as it is
there (default out/tournament, 3 seeds), so that a run that was stopped goes on; then it prints the table. `--write`
keeps it in expected.json, `--block-by-block` has the slow variant of that name play too, `--only NAME ...` some
candidates beside the default, `--keep SHARE ...` only at some budgets.

Nothing is trained. A plan is tried on the running model as its mask, which gives what the cut model gives.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from papers.expected import record

from penjing.cli.console import progress_bar
from penjing.core import Budget, Plan
from penjing.core.places import cache_folder
from penjing.core.progress import Progress
from penjing.data.shipped import shipped
from penjing.data.text import read_texts
from penjing.data.tokens import tokenise
from penjing.evaluate.windows import blocks
from penjing.io.assets import fetch_asset
from penjing.maths.bootstrap import bootstrap
from penjing.maths.holm import holm
from penjing.planning.plans import Order, make_plan
from penjing.running.live import Running
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load, tokenizer

KEEP = (0.9, 0.8, 0.7, 0.5)
WINDOWS, LENGTH = 16, 256
ROWS, ROW = 32, 512
CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "activation": ("activation", {}),
    "activation, block by block": ("activation", {"block_by_block": True}),
    "activation, no repair": ("activation", {"repair": False}),
    "taylor": ("taylor", {}),
    "minitron": ("minitron", {}),
    "nirvana": ("nirvana", {"axes": "neurons.*"}),
    "amp": ("amp", {}),
    "maw": ("maw", {}),
    "vow": ("vow", {}),
    "pon": ("pon", {}),
    "l2_rows": ("l2_rows", {}),
    "magnitude": ("magnitude", {}),
    "random": ("random", {}),
}
SEEDLESS = ("maw", "vow", "pon", "l2_rows", "magnitude")
"""What only looks at weights: one plan a budget serves for all seeds."""
DRAWS = 4000
BY_BLOCK = "activation, block by block"

Losses = dict[str, list[float]]


def texts(folder: Path) -> dict[str, list[dict[str, torch.Tensor]]]:
    """Text -> windows as batches of one, tokens [1 LENGTH] with themselves as labels."""
    reader = tokenizer(folder)
    out = {}
    for path in shipped("evaluation"):
        ids = tokenise(read_texts([path]), reader)
        cut = blocks(ids, LENGTH)[:WINDOWS]
        rows = [torch.cat([w.inputs, w.targets[-1:]])[None] for w in cut]
        out[path.stem] = [{"input_ids": r, "labels": r} for r in rows]
    return out


@dataclass(frozen=True)
class Field:
    """Who plays, over how many calibration seeds, at which shares of neurons."""

    candidates: tuple[str, ...]
    seeds: int
    keep: tuple[float, ...] = KEEP

    def seeds_of(self, name: str) -> range:
        """One for what looks at weights alone, and for the one that goes block by block, for its time."""
        return range(1 if name == BY_BLOCK or CANDIDATES[name][0] in SEEDLESS else self.seeds)

    def jobs(self) -> Iterator[tuple[str, float, int]]:
        """(candidate, keep, seed): seed after seed, so that a pass of the data serves all."""
        yield "whole", 1.0, 0
        for seed in range(self.seeds):
            for name in self.candidates:
                if seed in self.seeds_of(name):
                    yield from ((name, keep, seed) for keep in self.keep)


def play(out: Path, who: Field, progress: Progress) -> Losses:
    """`candidate|keep|seed|text` -> the mean loss of each window, in nats per token."""
    place = out / "losses.json"
    found: Losses = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    cache = cache_folder()
    source = resolve(fetch_asset("smollm2"))
    folder = as_folder(source, cache)
    module = load(folder)
    windows = texts(folder)
    running = {t: Running(module, rows, source.layout) for t, rows in windows.items()}
    todo = list(who.jobs())
    for i, (name, keep, seed) in enumerate(todo):
        progress("tournament", i, len(todo))
        keys = {t: f"{name}|{keep:g}|{seed}|{t}" for t in windows}
        if all(k in found for k in keys.values()):
            continue
        if name == "whole":
            plan = Plan()
        else:
            method, settings = CANDIDATES[name]
            order = Order(
                method=method, budget=Budget(keep=keep), settings={**settings, "multiple": 1}, rows=ROWS, length=ROW,
                seed=seed,
            )  # fmt: skip
            plan = make_plan(source, order, cache=cache, module=module)
        for text, key in keys.items():
            found[key] = losses(running[text], plan)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(found, indent=0), encoding="utf-8")
        part.replace(place)
    return found


def losses(running: Running, plan: Plan) -> list[float]:
    """The mean loss of each window under a plan."""
    return [float(v) for v in running.values(plan)]


def per_window(found: Losses, who: Field, name: str, keep: float, text: str) -> torch.Tensor:
    """[seeds windows] float64."""
    return torch.tensor([found[f"{name}|{keep:g}|{s}|{text}"] for s in who.seeds_of(name)], dtype=torch.float64)


def table(found: Losses, who: Field) -> dict[str, dict[str, dict[str, Any]]]:
    """Text and keep -> candidate -> perplexity, its range over seeds, and its ratio to the default's, paired by window.

    The interval is the bootstrap's over windows (losses averaged over seeds first), p is corrected by Holm over the
    candidates of one text and keep.
    """
    names = sorted({k.rsplit("|", 1)[1] for k in found})
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for text in names:
        whole = torch.tensor(found[f"whole|1|0|{text}"], dtype=torch.float64)
        out[f"{text} 1"] = {"whole": {"perplexity": figure(whole.mean().exp())}}
        for keep in who.keep:
            base = per_window(found, who, "activation", keep, text)
            rows: dict[str, dict[str, Any]] = {}
            for name in who.candidates:
                own = per_window(found, who, name, keep, text)
                over = own.mean(1).exp()
                rows[name] = {
                    "perplexity": figure(own.mean().exp()),
                    "low": figure(over.min()),
                    "high": figure(over.max()),
                }
                if name != "activation":
                    gap = (own.mean(0) - base.mean(0))[:, None]
                    drawn = bootstrap(
                        gap, lambda s: s[..., 0] / WINDOWS, generator=torch.Generator().manual_seed(0), draws=DRAWS
                    )
                    low, high = drawn.interval()
                    rows[name] |= {
                        "ratio": figure(math.exp(drawn.value)),
                        "interval": [figure(math.exp(low)), figure(math.exp(high))],
                        "p": drawn.p(),
                    }
            others = [n for n in rows if n != "activation"]
            for name, p in zip(others, holm([rows[n].pop("p") for n in others]), strict=True):
                rows[name]["p_holm"] = figure(p)
            out[f"{text} {keep:g}"] = rows
    return out


def figure(value: Any) -> float:
    """Four digits: more than is known."""
    return float(f"{float(value):.4g}")


def show(rows: Mapping[str, Mapping[str, Mapping[str, Any]]], budgets: Sequence[float]) -> None:
    """A markdown table for each text: candidates down, budgets across, perplexity and its ratio to the default's."""
    for text in sorted({k.rsplit(" ", 1)[0] for k in rows}):
        print(f"\n{text}, whole {rows[f'{text} 1']['whole']['perplexity']}\n")
        print("| | " + " | ".join(f"{k:g}" for k in budgets) + " |\n|---|" + "---|" * len(budgets))
        for name in rows[f"{text} {budgets[0]:g}"]:
            cells = []
            for keep in budgets:
                row = rows[f"{text} {keep:g}"][name]
                ratio = f" ({row['interval'][0]:g} to {row['interval'][1]:g})" if "ratio" in row else ""
                clear = "" if row.get("p_holm", 1) < 0.05 or not ratio else " ="
                cells.append(f"{row['perplexity']:.4g}{ratio}{clear}")
            print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Play what is left to play; print the tables; `--write` keeps them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("out/tournament"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", nargs="+", type=float, choices=KEEP, default=list(KEEP))
    parser.add_argument("--block-by-block", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(CANDIDATES), default=[], metavar="NAME")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    usual = {n for n in CANDIDATES if n != BY_BLOCK or given.block_by_block}
    asked = {"activation", *given.only} if given.only else usual
    names = tuple(n for n in CANDIDATES if n in asked)
    who = Field(candidates=names, seeds=given.seeds, keep=tuple(given.keep))
    with progress_bar() as progress:
        found = play(given.out, who, progress)
    rows = table(found, who)
    show(rows, who.keep)
    record(__file__, rows, write=given.write, part="block by block" if BY_BLOCK in given.only else "at once")


if __name__ == "__main__":
    main()
