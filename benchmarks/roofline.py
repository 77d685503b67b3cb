"""How well does the calibrated machine predict? Predicted beside measured seconds and ratios, on random Llamas.

    OMP_NUM_THREADS=1 python benchmarks/roofline.py

Calibrates this machine, then predicts and times the shapes of `speed_ratio`. Held-out products should be within 25 %
for 80 % of the shapes, ratios of whole models within 20 %, on a quiet machine. `--tiny` only shows that it runs.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.speed_ratio import SHAPES, build
from penjing.evaluate import costs
from penjing.evaluate.costs import Costs
from penjing.profiling.roofline import Job, Profile, calibrate, describe, predict
from penjing.profiling.speed import JOBS, Speed, compare_speed


def seconds(profile: Profile, model: Costs, job: Job) -> float:
    """What the profile says of a model."""
    if model.layout is None:
        raise SystemExit("a model has no layout")
    shape = describe(model.layout, dtypes=model.dtypes, cache_bytes=model.cache_bytes)
    return predict(profile, shape, job).seconds


def rows(profile: Profile, folders: dict[str, Path], speed: Speed) -> list[dict[str, Any]]:
    """For each shape and job: predicted and measured seconds, and ratios to the dense one."""
    counted = {name: costs(folder) for name, folder in folders.items()}
    measured = compare_speed(folders, speed=speed)
    ratios = {(r.details["subject"], r.details["job"]): r for r in measured.ratios}
    jobs = {
        "prefill": Job(kind="prefill", tokens=speed.tokens),
        "decode": Job(kind="decode", context=speed.context + speed.steps // 2),
    }
    out = []
    for kind, job in jobs.items():
        dense = seconds(profile, counted["dense"], job)
        for name, model in counted.items():
            figure = next(f for f in measured.figures[name] if f.name == JOBS[kind])
            ratio = ratios.get((name, kind))
            predicted = seconds(profile, model, job)
            out.append({
                "shape": name, "job": kind, "predicted": predicted, "least": figure.details["least"],
                "predicted_over_least": predicted / figure.details["least"], "predicted_ratio": predicted / dense,
                "measured_ratio": ratio.value if ratio else 1.0, "note": ratio.note if ratio else "the original",
            })  # fmt: skip
    return out


def main() -> None:
    """Calibrate, predict, time, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: shows that it runs, says nothing of speed")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the profile and the rows here")
    asked = parser.parse_args()
    profile = calibrate(threads=asked.threads, keep=False)
    print(profile.summary())
    speed = Speed(rounds=asked.rounds, threads=asked.threads, limit=1200, more=False)
    with tempfile.TemporaryDirectory() as where:
        shapes = {n: s for n, s in SHAPES.items() if n != "half-zeros"}
        folders = {n: build(Path(where) / n, shape, asked.tiny) for n, shape in shapes.items()}
        found = rows(profile, folders, speed)
    print(f"{'shape':16} {'job':8} {'predicted':>10} {'least':>10} {'over':>6} {'ratio':>7} {'measured':>9}")
    for r in found:
        ratio = "withheld" if r["measured_ratio"] is None else f"{r['measured_ratio']:.3f}"
        print(
            f"{r['shape']:16} {r['job']:8} {r['predicted'] * 1e3:8.2f}ms {r['least'] * 1e3:8.2f}ms "
            f"{r['predicted_over_least']:6.2f} {r['predicted_ratio']:7.3f} {ratio:>9}"
        )
    print(json.dumps(dict(profile.details)))
    if asked.json:
        asked.json.write_text(json.dumps({"profile": profile.to_json(), "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
