"""Is a smaller model as much faster as its sizes promise? Predicted beside measured ratios, on random Llamas.

    OMP_NUM_THREADS=1 python benchmarks/speed_ratio.py

Builds some 128 million parameters (and five smaller shapes) as folders in a temporary place, then times all of them in
turn with `penjing.evaluate.compare_speed`. Decode should be within 5 % of the ratio of bytes read, prefill within
10 % of the ratio of multiply-adds, for rounded widths on a quiet machine. A model with half of its weights zeroed is
among them: its ratios have to be withheld, or within 5 % of 1. `--tiny` only shows that it runs.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from penjing.core import Measurement
from penjing.evaluate import costs, figure_to_json
from penjing.evaluate.statistics import NULL_LIMIT
from penjing.profiling.predicted import decode_ratio, prefill_ratio
from penjing.profiling.speed import Speed, compare_speed

BASE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 8192,
    "max_position_embeddings": 2048,
}
SHAPES: dict[str, dict[str, Any]] = {
    "dense": {},
    "mlp-3264": {"intermediate_size": 3264},
    "mlp-2048": {"intermediate_size": 2048},
    "6-of-8-layers": {"num_hidden_layers": 6},
    "half-the-heads": {"num_attention_heads": 8},
    "half-zeros": {},
}
TINY: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 256, "head_dim": 4, "vocab_size": 128}
LIMITS = {"decode_ratio": 0.05, "prefill_ratio": 0.10}


def build(folder: Path, shape: dict[str, Any], tiny: bool) -> Path:
    """Save a random Llama of this shape."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    settings = {**BASE, **(TINY if tiny else {}), **shape}
    if tiny and "intermediate_size" in shape:
        settings["intermediate_size"] = shape["intermediate_size"] // 16
    module = LlamaForCausalLM(LlamaConfig(**settings, tie_word_embeddings=False))
    if folder.name == "half-zeros":
        with torch.no_grad():
            for weight in module.parameters():
                weight.mul_(torch.rand(weight.shape) < 0.5)
    module.save_pretrained(folder)
    return folder


def row(name: str, predicted: float, found: Measurement) -> dict[str, Any]:
    """One line of the table: predicted and measured ratio, and how far they are apart."""
    measured = found.value
    gap = None if measured is None else measured / predicted - 1
    return {
        "shape": name,
        "job": found.name,
        "predicted": round(predicted, 4),
        "measured": None if measured is None else round(measured, 4),
        "interval": found.details["interval"],
        "null_interval": found.details["null_interval"],
        "gap": None if gap is None else round(gap, 4),
        "within": None if gap is None else abs(gap) <= LIMITS[found.name],
        "note": found.note,
    }


def main() -> None:
    """Build, time, print the table and, with `--json`, the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: shows that it runs, says nothing of speed")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the raw figures here")
    asked = parser.parse_args()
    speed = Speed(rounds=asked.rounds, threads=asked.threads, limit=1200, more=False)
    with tempfile.TemporaryDirectory() as where:
        folders = {name: build(Path(where) / name, shape, asked.tiny) for name, shape in SHAPES.items()}
        counted = {name: costs(folder) for name, folder in folders.items()}
        result = compare_speed(folders, speed=speed)
    rows = []
    for found in result.ratios:
        name = found.details["subject"]
        predicted = (
            decode_ratio(counted[name], counted["dense"], speed.context + speed.steps // 2)
            if found.name == "decode_ratio"
            else prefill_ratio(counted[name], counted["dense"], speed.tokens)
        )
        rows.append(row(name, predicted or float("nan"), found))
    print(f"{'shape':16} {'job':14} {'predicted':>9} {'measured':>9} {'gap':>7}  note")
    for r in rows:
        measured = "withheld" if r["measured"] is None else f"{r['measured']:.3f}"
        gap = "" if r["gap"] is None else f"{r['gap']:+.1%}"
        print(f"{r['shape']:16} {r['job']:14} {r['predicted']:9.3f} {measured:>9} {gap:>7}  {r['note']}")
    print(result.timings.protocol, json.dumps(dict(result.timings.details)))
    null = [r for r in rows if r["shape"] == "half-zeros" and r["measured"] is not None]
    wrong = [r for r in null if abs(r["measured"] - 1) > NULL_LIMIT]
    print("null test (half of the weights zeroed):", f"FAILED: {wrong}" if wrong else "passed")
    if asked.json:
        figures = {n: [figure_to_json(f) for f in fs] for n, fs in result.figures.items()}
        asked.json.write_text(json.dumps({"rows": rows, "figures": figures}, indent=1) + "\n")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
