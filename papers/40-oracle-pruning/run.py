"""Does the loss right after a cut foretell what retraining makes of it? (arXiv:2412.00143), on the digits, 3 seeds.

`python -m papers.40-oracle-pruning.run [OUT]` carries out the study beside this file in OUT (default out/oracle), goes
on with what was stopped there, and prints the figures; `--write` keeps them in expected.json. What is read was fixed
before the run: see `readings`.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from papers.assets.pictures import digits
from papers.expected import record

import penjing
from penjing.studies.columns import numbers
from penjing.studies.journal import Row

HERE = Path(__file__).parent
FIGURES = (
    "tau_accuracy",
    "low",
    "high",
    "tau_loss",
    "tau_train_loss",
    "ceiling",
    "anomaly",
    "range",
    "proxy",
)
INVALID = -0.2
"""The paper's rule: from this tau on, or with half of the cuts ending above the oracle's, it is no oracle."""


def play(out: Path) -> list[Row]:
    """The rows of the study."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "digits.npz").is_file():
        found = digits()
        np.savez_compressed(
            out / "digits.npz",
            x=np.asarray(found.pixels[torch.arange(len(found))]),
            y=found.labels,
        )
    shutil.copy(HERE / "digits.toml", out / "digits.toml")
    done = penjing.study(out / "digits.toml")
    print(f"{sum(r.seconds for r in done.rows):.0f} seconds", flush=True)
    return list(done.rows)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Setting -> each figure at 0, 100 and 600 steps, the mean of the seeds; and each seed's tau with the accuracy."""
    out: dict[str, Any] = {}
    for setting in dict.fromkeys(r.setting for r in rows):
        mine = [r.figures for r in rows if r.setting == setting]
        found = {name: np.nanmean(numbers(mine, name), axis=0) for name in FIGURES}
        out[setting] = {
            name: [figure(v) for v in values] for name, values in found.items()
        }
        out[setting]["seeds"] = [figure(f["tau_accuracy"][-1]) for f in mine]
        out[setting]["cuts"] = len(mine[0]["score"])
    return out


def readings(found: dict[str, Any]) -> dict[str, bool]:
    """What decides the claims."""
    of_loss = {k: v for k, v in found.items() if k.endswith("score loss")}
    out: dict[str, bool] = {}
    for setting, one in of_loss.items():
        short = setting.removesuffix(", score loss")
        out[f"1 {short}: weaker after 600 steps than after 100"] = (
            one["tau_accuracy"][2] > one["tau_accuracy"][1]
        )
        out[f"3 {short}: the oracle is no oracle by the paper's rule"] = (
            one["tau_accuracy"][2] >= INVALID or one["anomaly"][2] >= 0.5
        )
        out[f"5 {short}: 100 steps tell more than the loss does"] = (
            one["proxy"][1] > -one["tau_accuracy"][2]
        )
    for layers in dict.fromkeys(s.split(", gone")[0] for s in of_loss):
        taus = [
            v["tau_accuracy"][2]
            for s, v in of_loss.items()
            if s.startswith(f"{layers}, gone")
        ]
        out[f"2 {layers}: weaker the more goes"] = taus == sorted(taus)
    for setting, one in of_loss.items():
        other = found[setting.replace("score loss", "score magnitude")]
        short = setting.removesuffix(", score loss")
        out[f"4 {short}: magnitude foretells as well"] = (
            other["tau_accuracy"][2] <= one["tau_accuracy"][2]
        )
    return out


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/oracle", type=Path)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    torch.set_num_threads(1)
    rows = play(given.out)
    found = summary(rows)
    loss = [r for r in rows if r.setting.endswith("score loss")]
    pooled = {}
    for score in ("loss", "magnitude", "l2_rows", "random"):
        mine = [f for s, f in found.items() if s.endswith(f"score {score}")]
        means = {
            n: np.mean([f[n] for f in mine], axis=0)
            for n in ("tau_accuracy", "anomaly", "ceiling", "proxy")
        }
        pooled[score] = {
            name: [figure(v) for v in values] for name, values in means.items()
        }
    out = {
        "trained": int(sum(r.figures["models"] for r in loss)),
        "pooled": pooled,
        "settings": found,
        "readings": readings(found),
    }
    print(json.dumps(out, indent=1))
    record(__file__, out, write=given.write)


if __name__ == "__main__":
    main()
