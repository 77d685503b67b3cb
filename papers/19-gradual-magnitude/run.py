"""Large and sparse against small and dense (arXiv:1710.01878): a perceptron, a CNN and an LSTM, on real data.

`python -m papers.19-gradual-magnitude.run [OUT]` carries out three studies in OUT (default out/gradual), goes on with
what was stopped there, and prints the figures; `--write` keeps them in expected.json. `--only mlp` runs one.

The study files are beside this one. What is read was fixed before the run: see `readings`.
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
from penjing.data import shipped
from penjing.data.images import Images
from penjing.maths.student import mean_of
from penjing.studies.journal import Row

HERE = Path(__file__).parent
NETWORKS = ("mlp", "cnn", "lstm")
LEFT = ("10", "5", "2", "1")
OTHERS = ("at once at 20", "at once at 75", "evenly", "to the end")
"""Ways to the same 5 % of the weights."""
MARGIN = {"accuracy": 0.01, "loss": 0.03}
"""Little is lost if the interval of the accuracy less the whole's ends above minus this, or the loss's below this."""
FIGURES = ("loss", "accuracy", "nonzeros", "bytes", "least", "learning_rate")


def data(out: Path, name: str) -> None:
    """What a study reads, beside its file."""
    if name == "lstm":
        shutil.copy(shipped("calibration")[0], out / "speeches.txt")
    else:
        pictures(digits(), out / "digits.npz")


def pictures(images: Images, path: Path) -> None:
    """Pictures as an .npz file."""
    if not path.is_file():
        pixels = np.asarray(images.pixels[torch.arange(len(images))])
        np.savez_compressed(path, x=pixels, y=images.labels.numpy())


def play(out: Path, name: str) -> list[Row]:
    """The rows of the study of one network."""
    out.mkdir(parents=True, exist_ok=True)
    data(out, name)
    shutil.copy(HERE / f"{name}.toml", out / f"{name}.toml")
    done = penjing.study(out / f"{name}.toml")
    print(f"{name}: {sum(r.seconds for r in done.rows):.0f} seconds", flush=True)
    return list(done.rows)


def column(rows: Sequence[Row], setting: str, name: str) -> torch.Tensor:
    """[seeds] float64: a figure of one setting, seeds in order."""
    mine = sorted((r for r in rows if r.setting == setting), key=lambda r: r.seed)
    return torch.tensor([r.figures[name] for r in mine], dtype=torch.float64)


def gap(rows: Sequence[Row], one: str, other: str) -> dict[str, Any]:
    """The mean differences of loss and accuracy over equal seeds, with the 95 % interval of Student's t."""
    out: dict[str, Any] = {}
    for name in ("loss", "accuracy"):
        said = mean_of(column(rows, one, name) - column(rows, other, name))
        out[name] = {"mean": figure(said.value), "interval": [figure(said.low), figure(said.high)]}
    return out


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Means of every setting, and the differences that are read."""
    settings = list(dict.fromkeys(r.setting for r in rows))
    out: dict[str, Any] = {"seeds": len({r.seed for r in rows}), "settings": {}, "gaps": {}}
    for setting in settings:
        out["settings"][setting] = {n: figure(column(rows, setting, n).mean()) for n in FIGURES}
        for name in ("loss", "accuracy"):
            out["settings"][setting][f"deviation of the {name}"] = figure(column(rows, setting, name).std())
    for left in (n for n in LEFT if f"sparse {n}" in settings):
        out["gaps"][f"sparse {left} less dense {left}"] = gap(rows, f"sparse {left}", f"dense {left}")
        out["gaps"][f"sparse {left} less whole"] = gap(rows, f"sparse {left}", "whole")
    for other in (o for o in OTHERS if o in settings):
        out["gaps"][f"sparse 5 less {other}"] = gap(rows, "sparse 5", other)
    for one, other in (("one ranking", "dense 1"), ("every matrix 1", "dense 1"), ("one ranking", "sparse 1")):
        if one in settings:
            out["gaps"][f"{one} less {other}"] = gap(rows, one, other)
    return out


def readings(found: dict[str, Any], name: str) -> dict[str, bool]:
    """What decides the claims: intervals over seeds, of the accuracy of pictures and the loss of text."""
    measure = "loss" if name == "lstm" else "accuracy"
    sign = -1 if measure == "loss" else 1

    def least(what: str) -> float:
        """How much better the first is at least."""
        return min(sign * end for end in found["gaps"][what][measure]["interval"])

    left = [n for n in LEFT if f"sparse {n}" in found["settings"]]
    out = {f"1 {n} %: sparse is better than dense": least(f"sparse {n} less dense {n}") > 0 for n in left}
    out["2 10 %: little is lost"] = least("sparse 10 less whole") > -MARGIN[measure]
    for other in (o for o in OTHERS if o in found["settings"]):
        number = 4 if other == "to the end" else 3
        out[f"{number} 5 %: cubic is better than {other}"] = least(f"sparse 5 less {other}") > 0
    return out


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/gradual", type=Path)
    reader.add_argument("--only", choices=NETWORKS)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    torch.set_num_threads(1)
    for name in [given.only] if given.only else NETWORKS:
        found = summary(play(given.out, name))
        found["readings"] = readings(found, name)
        print(json.dumps(found, indent=1))
        record(__file__, found, write=given.write, part=name)


if __name__ == "__main__":
    main()
