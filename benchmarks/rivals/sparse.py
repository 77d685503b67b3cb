"""The same sparse methods with LLM Compressor: `python -m benchmarks.rivals.sparse [--only wanda sparsegpt]`.

Wanda at 50 % on the first blocks of SmolLM2-135M, over the same rows of tokens: the weights of both results are
compared bit for bit, at once (its pipeline "basic") and block by block (its "sequential", which measures each block
behind those that are pruned already). SparseGPT at 50 % on the whole model: perplexity of the two shipped texts and its
ratio to penjing's that measures in the same way, with the paired bootstrap over windows.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from papers.tournament.run import figure, texts
from torch import Tensor, nn

import penjing
from benchmarks.rivals.quality import against, mean, read, told
from benchmarks.rivals.running import run
from penjing.calibrate import collect
from penjing.core import Budget, Keep, Mask, Plan, Update
from penjing.core.places import cache_folder
from penjing.core.progress import silent
from penjing.io import open_checkpoint
from penjing.io.assets import fetch_asset
from penjing.methods.sparsify.wanda import score
from penjing.planning.examples import token_batches
from penjing.planning.plans import Order
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load
from penjing.select.weights import matrices

KEEP, ROWS, LENGTH, BLOCKS, SECONDS = 0.5, 8, 256, 6, 1800.0
BATCH = 1
"""Rows that go together: as many as LLM Compressor takes, so that both round alike."""


def theirs(model: Path, out: Path, rows: Tensor, method: str, pipeline: str) -> Path:
    """LLM Compressor's result, a folder."""
    arguments = {"model": str(model), "out": str(out), "keep": KEEP, "rows": rows.tolist()}
    arguments |= {"method": method, "pipeline": pipeline}
    done = run("llmcompressor", "sparse_llmcompressor", arguments, seconds=SECONDS, threads=2)
    if done["status"] != "ok":
        raise SystemExit(f"LLM Compressor, {method}, {pipeline}: {done['said']}")
    return out


def ours(folder: Path, rows: Tensor, method: str, how: str) -> Plan:
    """Penjing's plan, at once or block by block."""
    settings = {"block_by_block": how == "block by block"}
    return penjing.plan(folder, method=method, keep=KEEP, settings=settings, data=list(rows.split(BATCH)))


def edited(module: nn.Module, plan: Plan) -> dict[str, Tensor]:
    """Write new values and masks into the module; what they left."""
    out = {}
    with torch.no_grad():
        for edit in plan:
            if isinstance(edit, Update):
                module.get_parameter(edit.tensor).copy_(edit.values)
            elif isinstance(edit, Mask):
                out[edit.tensor] = module.get_parameter(edit.tensor).mul_(edit.kept).detach().clone()
    return out


def differing(mine: Mapping[str, Tensor], other: Path, block: str) -> dict[str, Any]:
    """How many weights and rows differ, in all and by block, and the tensors in which they do."""
    weights = rows = total = 0
    by_block: dict[str, int] = {}
    where = {}
    with open_checkpoint(other) as held:
        for name, value in mine.items():
            wrong = value != held[name].float()
            number = name.removeprefix(f"{block}.").split(".")[0]
            by_block[number] = by_block.get(number, 0) + int(wrong.sum())
            weights, rows, total = weights + int(wrong.sum()), rows + int(wrong.any(1).sum()), total + wrong.numel()
            if wrong.any():
                where[name] = wrong
    return {"weights": total, "differ": weights, "rows": rows, "by_block": by_block, "where": where}


def closeness(folder: Path, rows: Tensor, where: Mapping[str, Tensor]) -> float:
    """The largest relative gap between the scores of weights that one side dropped and the other kept, in any row."""
    if not where:
        return 0.0
    module, layout = load(folder, dtype=torch.float32), resolve(folder).layout
    found = {m.tensor: m for m in matrices(layout)}
    stats = collect(module, rows.split(BATCH), {t: frozenset({"input_energy"}) for t in where})
    worst = 0.0
    for tensor, wrong in where.items():
        m = found[tensor]
        scores = score(module.get_parameter(tensor).detach(), m.spread(stats[tensor, "input_energy"])).double()
        for row, mask in zip(scores[wrong.any(1)], wrong[wrong.any(1)], strict=True):
            worst = max(worst, float(row[mask].max() / row[mask].min()) - 1)
    return worst


def wanda(folder: Path, rows: Tensor) -> dict[str, Any]:
    """Pipeline -> where the two results differ, on the first blocks of the model."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "small"
        blocks = resolve(folder).layout.blocks[0]
        penjing.apply(folder, Plan((Keep(blocks.axis, tuple(range(BLOCKS))),)), out=small, reopening=False)
        results = {p: theirs(small, Path(scratch) / p, rows, "wanda", p) for p in ("basic", "sequential")}
        ways = ("at once", "block by block")
        made = {w: edited(load(small, dtype=torch.float32), ours(small, rows, "wanda", w)) for w in ways}
        for pipeline, result in results.items():
            for how, mine in made.items():
                found = differing(mine, result, blocks.path)
                where = found.pop("where")
                like = (pipeline == "basic") == (how == "at once")
                found["tensors"] = {n: int(w.sum()) for n, w in where.items()} if like else len(where)
                if pipeline == "basic" and like:
                    found["largest_relative_gap"] = closeness(small, rows, where)
                out[f"{pipeline}, ours {how}"] = found
    return out


def sparsegpt(folder: Path, rows: Tensor) -> dict[str, Any]:
    """Side -> perplexity by text, its ratio to penjing's and the interval."""
    windows = texts(folder)
    out: dict[str, Any] = {"whole": perplexities(read(folder, windows)[1])}
    with tempfile.TemporaryDirectory() as scratch:
        for how, pipeline in {"at once": "basic", "block by block": "sequential"}.items():
            place = Path(scratch) / f"ours-{pipeline}"
            penjing.apply(folder, ours(folder, rows, "sparsegpt", how), out=place, reopening=False)
            base = read(place, windows)[1]
            out[f"penjing, {how}"] = perplexities(base)
            found = read(theirs(folder, Path(scratch) / pipeline, rows, "sparsegpt", pipeline), windows)[1]
            out[f"LLM Compressor, {pipeline}"] = {t: against(found[t], base[t]) for t in windows}
    return out


def perplexities(losses: Mapping[str, list[float]]) -> dict[str, Any]:
    """Text -> perplexity."""
    return {t: {"perplexity": figure(math.exp(mean(v)))} for t, v in losses.items()}


def show(found: Mapping[str, Any]) -> None:
    """Two markdown tables."""
    if "wanda" in found:
        print("\n| Wanda, LLM Compressor | weights | differ | rows | by block |\n|---|---|---|---|---|")
        for name, row in found["wanda"].items():
            print(f"| {name} | {row['weights']:,} | {row['differ']:,} | {row['rows']:,} | {row['by_block']} |")
    if "sparsegpt" in found:
        names = list(found["sparsegpt"]["whole"])
        print("\n| SparseGPT | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
        for side, row in found["sparsegpt"].items():
            print(f"| {side} | " + " | ".join(told(row[t]) for t in names) + " |")


def main() -> None:
    """Compare, print, and keep the figures; what is in the file already is not run again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    contests = {"wanda": wanda, "sparsegpt": sparsegpt}
    parser.add_argument("--only", choices=list(contests), nargs="+", default=list(contests))
    parser.add_argument("--out", type=Path, default=Path("out/rivals-sparse.json"))
    given = parser.parse_args()
    cache = cache_folder()
    source = resolve(fetch_asset("smollm2"))
    folder = as_folder(source, cache)
    order = Order(method="wanda", budget=Budget(keep=KEEP), settings={}, rows=ROWS, length=LENGTH)
    rows, _ = token_batches(source, order, cache, silent)
    found: dict[str, Any] = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        if name not in found:
            found[name] = contests[name](folder, rows)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)
    print(f"\nall figures: {given.out}")


if __name__ == "__main__":
    main()
