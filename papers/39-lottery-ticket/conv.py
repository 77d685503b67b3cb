"""Tickets of a small CNN (arXiv:1803.03635, 1912.05671): rewound to the start or later, by layer and over all.

`python -m papers.39-lottery-ticket.conv [OUT]` carries out the study `conv.toml` in OUT (default out/lottery-conv),
goes on with what was stopped there, and prints the figures; `--write` keeps them in expected.json. What is read was
fixed before the run: see `readings`.
"""

import argparse
import importlib
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

beside = importlib.import_module("papers.39-lottery-ticket.run")
HERE = Path(__file__).parent
AT = {"fifth": 0.22, "seventh": 0.15}
"""Name -> the first level whose density is at most this is read."""
PAIRS = (
    ("early", "early, reinit"), ("late", "early"), ("global, early", "early"),
    ("global, late", "global, early"), ("high, early", "high, early, reinit"), ("high, late", "high, early"),
)  # fmt: skip


def play(out: Path) -> list[Row]:
    """The rows of the study."""
    out.mkdir(parents=True, exist_ok=True)
    beside.kept(digits(), out / "digits.npz")
    shutil.copy(HERE / "conv.toml", out / "conv.toml")
    done = penjing.study(out / "conv.toml")
    print(f"{sum(r.seconds for r in done.rows):.0f} seconds", flush=True)
    return list(done.rows)


def column(rows: Sequence[Row], setting: str, figure: str) -> np.ndarray:
    """[seeds levels]: a figure of one setting, seeds in order."""
    mine = sorted((r for r in rows if r.setting == setting), key=lambda r: r.seed)
    return numbers([r.figures for r in mine], figure)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Means of every setting at every level, and the differences that are read."""
    short, gap = beside.figure, beside.gap
    settings = list(dict.fromkeys(r.setting for r in rows))
    density = column(rows, "early", "density").mean(0)
    out: dict[str, Any] = {"seeds": len({r.seed for r in rows}), "density": [short(d) for d in density]}
    for setting in settings:
        found = {f: column(rows, setting, f) for f in ("accuracy", "early")}
        out[setting] = {f: [short(v) for v in values.mean(0)] for f, values in found.items()}
    out["gaps"] = {}
    for name, most in AT.items():
        at = int(np.argmax(density <= most))
        gaps: dict[str, Any] = {"density": short(density[at])}
        for figure in ("accuracy", "early"):
            for setting in settings:
                mine = column(rows, setting, figure)
                gaps[f"{setting} less whole, {figure}"] = gap(mine[:, at], mine[:, 0])
            for one, other in PAIRS:
                gaps[f"{one} less {other}, {figure}"] = gap(
                    column(rows, one, figure)[:, at], column(rows, other, figure)[:, at]
                )
        out["gaps"][name] = gaps
    return out


def readings(found: dict[str, Any]) -> dict[str, bool]:
    """What decides the claims: intervals over seeds."""
    out = {}
    for name in AT:

        def least(what: str, of: dict[str, Any] = found["gaps"][name]) -> float:
            return of[what]["interval"][0]

        out[f"7 {name}: as accurate as the whole"] = least("early less whole, accuracy") > -beside.MARGIN
        out[f"7 {name}: ahead of the whole after the early step"] = least("early less whole, early") > 0
        out[f"7 {name}: better than reinit"] = least("early less early, reinit, accuracy") > 0
        out[f"8 {name}: late is better at the high rate"] = least("high, late less high, early, accuracy") > 0
        out[f"9 {name}: one ranking is better"] = least("global, early less early, accuracy") > 0
    return out


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/lottery-conv", type=Path)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    torch.set_num_threads(1)
    found = summary(play(given.out))
    found["readings"] = readings(found)
    print(json.dumps(found, indent=1))
    record(__file__, found, write=given.write, part="conv")


if __name__ == "__main__":
    main()
