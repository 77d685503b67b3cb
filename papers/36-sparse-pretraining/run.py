"""When to prune while training from first values (arXiv:2501.12486): nine windows at equal compute, digits, 5 seeds.

`python -m papers.36-sparse-pretraining.run [OUT]` carries out the study beside this file in OUT (default out/pretrain),
goes on with what was stopped there, and prints the figures; `--write` keeps them in expected.json. What is read was
fixed before the run: see `readings`.
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
from penjing.maths.student import mean_of
from penjing.studies.journal import Row

HERE = Path(__file__).parent
BASE, WHOLE = "25 to 75", "whole"
NO_RECOVERY = ("75 to 100", "at 100")


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


def column(rows: Sequence[Row], setting: str, name: str) -> torch.Tensor:
    """[seeds] float64: a figure of one window, seeds in order."""
    mine = sorted((r for r in rows if r.setting == setting), key=lambda r: r.seed)
    return torch.tensor([r.figures[name] for r in mine], dtype=torch.float64)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Window -> means and deviations, and the difference of its loss from that of 25 to 75 over equal seeds."""
    out: dict[str, Any] = {}
    for setting in dict.fromkeys(r.setting for r in rows):
        found = {
            n: column(rows, setting, n)
            for n in ("loss", "accuracy", "train_loss", "average", "steps", "least")
        }
        out[setting] = {n: figure(v.mean()) for n, v in found.items()}
        out[setting]["deviation of the loss"] = figure(found["loss"].std())
        if setting != BASE:
            said = mean_of(found["loss"] - column(rows, BASE, "loss"))
            out[setting]["loss less 25 to 75's"] = figure(said.value)
            out[setting]["interval"] = [figure(said.low), figure(said.high)]
    return out


def readings(found: dict[str, Any]) -> dict[str, bool]:
    """What decides the claims; better and worse mean an interval that leaves out 0."""
    out = {}
    for setting, one in found.items():
        if setting not in (BASE, WHOLE):
            out[f"1 {setting} is not better than 25 to 75"] = one["interval"][1] >= 0
    for setting in NO_RECOVERY:
        out[f"2 {setting} is worse than 25 to 75"] = found[setting]["interval"][0] > 0
    return out


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/pretrain", type=Path)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    torch.set_num_threads(1)
    found = summary(play(given.out))
    out = {"seeds": 5, "windows": found, "readings": readings(found)}
    print(json.dumps(out, indent=1))
    stored = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))["results"]
    out["law"] = stored["law"]  # what the other program measured stays
    record(__file__, out, write=given.write)


if __name__ == "__main__":
    main()
