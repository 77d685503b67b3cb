"""Lottery tickets (arXiv:1803.03635) on the digits of scikit-learn and on Fashion-MNIST, 5 seeds, against controls.

`python -m papers.39-lottery-ticket.run [OUT]` carries out two studies in OUT (default out/lottery), goes on with what
was stopped there, and prints the figures; `--write` keeps them in expected.json. `--only digits` runs one.

The study files are beside this one. What is read was fixed before the first run, but for reading 6: see `readings`.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from papers.assets.pictures import digits, fashion_mnist
from papers.expected import record

import penjing
from penjing.data.images import Images
from penjing.maths.student import mean_of
from penjing.studies.columns import numbers
from penjing.studies.journal import Row

HERE = Path(__file__).parent
DATA = {"digits": digits, "fashion": lambda: fashion_mnist("train")}
CONTROLS = ("reinit", "random", "one shot")
BELOW = {"half": 0.55, "third": 0.3, "fifth": 0.22, "tenth": 0.12, "twentieth": 0.05}
"""Name -> the first level whose density is at most this is read."""
MARGIN = 0.01
"""A ticket is as good as the whole network if the interval of its accuracy less the whole's ends above minus this."""


def kept(images: Images, path: Path) -> None:
    """Pictures as an .npz file."""
    if not path.is_file():
        np.savez_compressed(
            path,
            x=np.asarray(images.pixels[torch.arange(len(images))]),
            y=images.labels.numpy(),
        )


def play(out: Path, name: str) -> list[Row]:
    """The rows of the study of one data set."""
    out.mkdir(parents=True, exist_ok=True)
    kept(DATA[name](), out / f"{name}.npz")
    shutil.copy(HERE / f"{name}.toml", out / f"{name}.toml")
    done = penjing.study(out / f"{name}.toml")
    print(f"{name}: {sum(r.seconds for r in done.rows):.0f} seconds", flush=True)
    return list(done.rows)


def column(rows: Sequence[Row], kind: str, figure: str) -> np.ndarray:
    """[seeds levels]: a figure of one kind, seeds in order."""
    mine = sorted((r for r in rows if r.setting == f"kind {kind}"), key=lambda r: r.seed)
    return numbers([r.figures for r in mine], figure)


def gap(one: np.ndarray, other: np.ndarray) -> dict[str, float | list[float]]:
    """The mean difference over equal seeds, with the 95 % interval of Student's t."""
    said = mean_of(torch.from_numpy(one - other))
    return {
        "mean": figure(said.value),
        "interval": [figure(said.low), figure(said.high)],
    }


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Means at every level, and the differences at the levels that are read."""
    density = column(rows, "ticket", "density").mean(0)
    out: dict[str, Any] = {"density": [figure(d) for d in density]}
    kinds = ("ticket", *CONTROLS)
    for kind in kinds:
        found = {f: column(rows, kind, f) for f in ("accuracy", "early", "stop", "at_stop")}
        out[kind] = {f: [figure(v) for v in values.mean(0)] for f, values in found.items()}
    out["deviation of the ticket's accuracy"] = [figure(v) for v in column(rows, "ticket", "accuracy").std(0, ddof=1)]
    out["gaps"] = {}
    for name, most in BELOW.items():
        if density.min() > most:
            continue
        at = int(np.argmax(density <= most))
        own = {f: column(rows, "ticket", f) for f in ("accuracy", "early", "stop")}
        whole = {f: v[:, 0] for f, v in own.items()}
        out["gaps"][name] = {
            "density": figure(density[at]),
            **{f"ticket less whole, {f}": gap(v[:, at], whole[f]) for f, v in own.items()},
            **{
                f"ticket less {kind}, {f}": gap(own[f][:, at], column(rows, kind, f)[:, at])
                for kind in CONTROLS
                for f in ("accuracy", "early")
            },
        }
    return out


def readings(found: dict[str, Any]) -> dict[str, bool]:
    """What decides the claims: intervals over seeds."""
    gaps, out = found["gaps"], {}
    for name in ("fifth", "tenth"):
        out[f"1 {name}: as accurate as the whole"] = gaps[name]["ticket less whole, accuracy"]["interval"][0] > -MARGIN
    for name in ("third", "fifth"):
        ahead, sooner = (gaps[name][f"ticket less whole, {f}"]["interval"] for f in ("early", "stop"))
        out[f"2 {name}: ahead of the whole after the early step"] = ahead[0] > 0
        out[f"6 {name}: sooner at the least held-out loss"] = sooner[1] < 0
    for name in ("third", "fifth", "tenth"):
        out[f"3 {name}: better than reinit"] = gaps[name]["ticket less reinit, accuracy"]["interval"][0] > 0
        early, late = (gaps[name][f"ticket less reinit, {f}"]["mean"] for f in ("early", "accuracy"))
        out[f"3 {name}: the early gap to reinit is the larger"] = early > late
    for name in ("fifth", "tenth"):
        out[f"4 {name}: better than a random mask"] = gaps[name]["ticket less random, accuracy"]["interval"][0] > 0
    out["5 tenth: better than one shot"] = gaps["tenth"]["ticket less one shot, accuracy"]["interval"][0] > 0
    return out


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/lottery", type=Path)
    reader.add_argument("--only", choices=tuple(DATA))
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    torch.set_num_threads(1)
    for name in [given.only] if given.only else DATA:
        found = summary(play(given.out, name))
        found["readings"] = readings(found)
        print(json.dumps(found, indent=1))
        record(__file__, found, write=given.write, part=name)


if __name__ == "__main__":
    main()
