"""Run the jobs in turn and print ratios; `python -m benchmarks.rivals --help`."""

import argparse
import json
import platform
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.rivals.checkpoints import SHAPES, differences, random_llama
from benchmarks.rivals.environments import folder, python
from benchmarks.rivals.running import in_turn

CASES = ("cnn", "llama", "llama-gqa", "vit", "swin")
HANG = 60.0


def main() -> None:
    """Read the options, run, print, write the JSON."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--size", choices=list(SHAPES), default="1GB", help="the checkpoint of the width job")
    reader.add_argument("--repeats", type=int, default=3)
    reader.add_argument("--threads", type=int, default=2)
    reader.add_argument("--keep", type=float, default=0.75)
    reader.add_argument("--only", choices=["width", "modules"], help="one job instead of both")
    reader.add_argument("--out", type=Path, default=Path("out/rivals.json"))
    told = reader.parse_args()
    for rival in ("optipfair", "torch-pruning"):
        python(rival)
    found: dict[str, Any] = {"options": {k: str(v) for k, v in vars(told).items()}, "machine": platform.platform()}
    if told.only != "modules":
        found["width"] = width(told)
    if told.only != "width":
        found["modules"] = {name: modules(name, told) for name in CASES}
    told.out.parent.mkdir(parents=True, exist_ok=True)
    told.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\nall results, with load and versions: {told.out}")


def width(told: argparse.Namespace) -> dict[str, Any]:
    """MAW to the same width: optipfair against penjing, from folder to folder."""
    model = random_llama(folder() / f"llama-{told.size}", told.size)
    rounds: list[Any] = []
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        outs = {name: Path(scratch) / name for name in ("optipfair", "penjing")}
        for _ in range(told.repeats):
            for out in outs.values():
                shutil.rmtree(out, ignore_errors=True)
            jobs = [(n, f"width_{n}", {"model": str(model), "out": str(o), "keep": told.keep}) for n, o in outs.items()]
            rounds += in_turn(jobs, repeats=1, seconds=1800, threads=told.threads)
            if any(r["status"] != "ok" for r in rounds[-1]):
                break
        whole = all(r["status"] == "ok" for r in rounds[-1])
        unlike = differences(*outs.values()) if whole else None
    print(f"\nwidth by MAW, keep {told.keep}, random Llama {told.size}; optipfair : penjing")
    result = {"rounds": rounds, "tensors_that_differ": unlike}
    if not whole:
        tell_failures(rounds[-1])
        return result
    for key in ("wall", "cpu", "peak_anonymous", "peak_resident"):
        result[key] = ratio(rounds, key)
        tell_ratio(key, result[key])
    print(f"  tensors that differ: {len(unlike or [])}")
    return result


def modules(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """Plan and surgery in memory: Torch-Pruning against penjing."""
    arguments = {"case": name, "keep": told.keep}
    jobs = [("torch-pruning", "modules_torch_pruning", arguments), ("penjing", "modules_penjing", arguments)]
    rounds = in_turn(jobs, repeats=told.repeats, seconds=HANG, threads=told.threads)
    print(f"\n{name}, keep {told.keep}; Torch-Pruning : penjing")
    tell_failures(rounds[-1])
    result: dict[str, Any] = {"rounds": rounds}
    if all(r["status"] == "ok" for r in rounds[-1]):
        for key, label in (("cut_seconds", "plan + surgery"), ("graph_seconds", "graph or layout")):
            result[key] = ratio(rounds, key)
            tell_ratio(label, result[key])
    kept = {r["rival"]: round(r["parameters_kept"], 3) for r in rounds[-1] if r["status"] == "ok"}
    print(f"  parameters kept  {kept}")
    return result


def tell_ratio(label: str, found: dict[str, float]) -> None:
    """One line: the median, and the range over the rounds."""
    print(f"  {label:16} {found['median']:6.2f}   (from {found['low']:.2f} to {found['high']:.2f})")


def tell_failures(row: list[dict[str, Any]]) -> None:
    """Say which of the tools gave no result, and what it said."""
    for r in row:
        if r["status"] != "ok":
            print(f"  {r['rival']}: {r['status']}: {r['said']}")


def ratio(rounds: list[Any], key: str) -> dict[str, float]:
    """Rival over penjing, round by round: above 1 penjing needs less."""
    each = [row[0][key] / max(row[1][key], 1e-9) for row in rounds]
    return {"median": statistics.median(each), "low": min(each), "high": max(each)}


if __name__ == "__main__":
    main()
