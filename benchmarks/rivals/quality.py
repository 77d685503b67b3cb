"""What is left of a real model at equal widths: `python -m benchmarks.rivals.quality [--keep 0.9 0.8 0.7 0.5]`.

SmolLM2-135M, the neurons of every MLP, nothing trained: optipfair's MAW, Torch-Pruning's magnitude and Taylor (which
gets the rows that penjing calibrates on) and penjing's default, each a folder that is opened and read through the same
windows of the two shipped texts. Perplexity and its ratio to penjing's, with the paired bootstrap over windows. What
each side left is written as soon as it is there, so that a run that was stopped goes on.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from papers.tournament.run import DRAWS, ROW, ROWS, figure, texts

import penjing
from benchmarks.rivals.running import run
from penjing.cli.console import progress_bar
from penjing.core.places import cache_folder
from penjing.core.progress import silent
from penjing.io.assets import fetch_asset
from penjing.maths.bootstrap import bootstrap
from penjing.planning.examples import token_batches
from penjing.planning.plans import Order
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load

OURS = "penjing, activation"
SIDES: dict[str, tuple[str, str, dict[str, str]]] = {
    "optipfair, MAW": ("optipfair", "width_optipfair", {}),
    "Torch-Pruning, magnitude": ("torch-pruning", "width_torch_pruning", {"importance": "magnitude"}),
    "Torch-Pruning, Taylor": ("torch-pruning", "width_torch_pruning", {"importance": "taylor"}),
}
SECONDS = 1800.0
Losses = dict[str, list[float]]


def read(folder: Path, windows: Mapping[str, Any]) -> tuple[int, Losses]:
    """The width of a folder's MLPs, and the mean loss of each window by text."""
    model = load(folder)
    with torch.inference_mode():
        found = {t: [float(model(**row).loss) for row in rows] for t, rows in windows.items()}
    return model.config.intermediate_size, found


def ours(model: Path, out: Path, keep: float) -> None:
    """Penjing's default method, on the shipped text, to exactly the width that is asked for."""
    plan = penjing.plan(model, keep=keep, settings={"multiple": 1}, rows=ROWS, length=ROW)
    penjing.apply(model, plan, out=out)


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """Keep -> side -> width, and by text the perplexity, ratio to penjing's and interval; or what went wrong."""
    cache = cache_folder()
    source = resolve(fetch_asset("smollm2"))
    folder = as_folder(source, cache)
    order = Order(method="taylor", budget=penjing.Budget(keep=0.5), settings={}, rows=ROWS, length=ROW)
    rows, _ = token_batches(source, order, cache, silent)
    windows = texts(folder)
    kept: dict[str, Any] = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
    if "whole" not in kept:
        kept["whole"] = {t: figure(math.exp(mean(v))) for t, v in read(folder, windows)[1].items()}
    with progress_bar() as progress:
        for i, keep in enumerate(given.keep):
            progress("budgets", i, len(given.keep))
            kept.setdefault(f"{keep:g}", {})
            for row in one_budget(folder, rows, windows, keep, kept[f"{keep:g}"]):
                kept[f"{keep:g}"] |= row
                given.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return {k: kept[k] for k in ["whole", *(f"{keep:g}" for keep in given.keep)]}


def one_budget(
    folder: Path, rows: torch.Tensor, windows: Mapping[str, Any], keep: float, there: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """{side: what it left}, a side at a time, of those that are not `there`."""
    missing = [side for side in SIDES if side not in there]
    if not missing and OURS in there:
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        ours(folder, place / "ours", keep)
        width, base = read(place / "ours", windows)
        yield {OURS: {"width": width, "texts": {t: {"perplexity": figure(math.exp(mean(v)))} for t, v in base.items()}}}
        for side in missing:
            rival, job, told = SIDES[side]
            target = place / job / side
            arguments = {"model": str(folder), "out": str(target), "keep": keep, "cold": False, **told}
            arguments |= {"rows": rows.tolist()} if job == "width_torch_pruning" else {}
            done = run(rival, job, arguments, seconds=SECONDS, threads=2)
            if done["status"] != "ok":
                yield {side: {"failed": done["said"]}}
                continue
            width, theirs = read(target, windows)
            yield {side: {"width": width, "texts": {t: against(theirs[t], base[t]) for t in windows}}}


def against(theirs: list[float], base: list[float]) -> dict[str, Any]:
    """Perplexity, and its ratio to the base's with the interval of the bootstrap over windows."""
    gap = torch.tensor(theirs, dtype=torch.float64) - torch.tensor(base, dtype=torch.float64)
    drawn = bootstrap(
        gap[:, None], lambda s: s[..., 0] / len(theirs), generator=torch.Generator().manual_seed(0), draws=DRAWS
    )
    low, high = drawn.interval()
    return {
        "perplexity": figure(math.exp(mean(theirs))),
        "ratio": figure(math.exp(drawn.value)),
        "interval": [figure(math.exp(low)), figure(math.exp(high))],
    }


def mean(values: list[float]) -> float:
    """The plain mean."""
    return sum(values) / len(values)


def show(found: Mapping[str, Any]) -> None:
    """A markdown table: sides and budgets down, texts across."""
    names = list(found["whole"])
    print("| keep | side | width | " + " | ".join(f"{t} (whole {found['whole'][t]})" for t in names) + " |")
    print("|---|---|---|" + "---|" * len(names))
    for keep, sides in found.items():
        for side, row in sides.items() if keep != "whole" else ():
            if "failed" in row:
                print(f"| {keep} | {side} | failed: {row['failed']} |" + " |" * len(names))
                continue
            cells = [told(row["texts"][t]) for t in names]
            print(f"| {keep} | {side} | {row['width']} | " + " | ".join(cells) + " |")


def told(row: Mapping[str, Any]) -> str:
    """One cell."""
    if "ratio" not in row:
        return f"{row['perplexity']:.4g}"
    low, high = row["interval"]
    return f"{row['perplexity']:.4g}, {row['ratio']:.3g} times ({low:.3g} to {high:.3g})"


def main() -> None:
    """Compare, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=float, nargs="+", default=[0.9, 0.8, 0.7, 0.5])
    parser.add_argument("--out", type=Path, default=Path("out/rivals-quality.json"))
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    show(compare(given))
    print(f"\nall figures: {given.out}")


if __name__ == "__main__":
    main()
