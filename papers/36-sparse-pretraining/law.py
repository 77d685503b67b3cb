"""Whether parameters averaged over training foretell the loss (arXiv:2501.12486): 33 schedules, Fashion-MNIST, 3 seeds.

`python -m papers.36-sparse-pretraining.law [OUT]` carries out the study `law.toml` in OUT (default out/law), goes on
with what was stopped there, fits `E + A / N^alpha + B / D^beta` to the means over seeds with N averaged over training
and with N at the end, and prints what came out; `--write` keeps it in expected.json. What is read was fixed before the
run: see `readings`.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from papers.assets.pictures import fashion_mnist
from papers.expected import record

import penjing
from penjing.maths.scaling_law import Fit, fit_law
from penjing.maths.student import mean_of
from penjing.studies.journal import Row

HERE = Path(__file__).parent
PIXELS, CLASSES, BATCH = 784, 10, 60
TOLD = ("E", "A", "alpha", "B", "beta")
DRAWS = 200
FACTOR = 2.0
"""An exponent is known if its interval is above 0 and its ends are no further apart than this factor."""


def play(out: Path) -> list[Row]:
    """The rows of the study."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "fashion.npz").is_file():
        found = fashion_mnist("train")
        pixels = np.asarray(found.pixels[torch.arange(len(found))])
        np.savez_compressed(out / "fashion.npz", x=pixels, y=found.labels.numpy())
    shutil.copy(HERE / "law.toml", out / "law.toml")
    done = penjing.study(out / "law.toml")
    print(f"{sum(r.seconds for r in done.rows):.0f} seconds", flush=True)
    return list(done.rows)


def runs(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Setting -> means over seeds, and its weights: on average over training and at the end."""
    out = {}
    for setting in dict.fromkeys(r.setting for r in rows):
        mine = [r.figures for r in rows if r.setting == setting]
        hidden, kind, *rest = setting.split()
        whole = (PIXELS + CLASSES) * int(hidden)
        keep = 1.0 if kind == "dense" else int(rest[0]) / 100
        losses = torch.tensor([f["loss"] for f in mine], dtype=torch.float64)
        out[setting] = {
            "loss": float(losses.mean()),
            "deviation": float(losses.std()),
            "average": mine[0]["average"] * whole,
            "final": keep * whole,
            "examples": mine[0]["steps"] * BATCH,
        }
    return out


def column(found: dict[str, dict[str, float]], name: str) -> torch.Tensor:
    """[runs] float64."""
    return torch.tensor([one[name] for one in found.values()], dtype=torch.float64)


def law(found: dict[str, dict[str, float]], count: str) -> Fit:
    """The law with this count of parameters."""
    return fit_law(column(found, count), column(found, "examples"), column(found, "loss"), draws=DRAWS)


def told(fit: Fit) -> dict[str, Any]:
    """A fit in plain figures."""
    return {
        **{n: figure(getattr(fit.law, n)) for n in TOLD},
        "intervals": {n: [figure(v) for v in fit.intervals[n]] for n in TOLD},
        "explained": figure(fit.explained),
        "error of runs left out": figure(fit.left_out),
    }


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The runs, both laws, and how well sparse runs follow from the dense ones alone."""
    found = runs(rows)
    dense = {n: one for n, one in found.items() if " dense " in n}
    sparse = {n: one for n, one in found.items() if n not in dense}
    fits = {count: law(found, count) for count in ("average", "final")}
    less = mean_of(torch.tensor(fits["final"].each) - torch.tensor(fits["average"].each))
    alone, errors = law(dense, "average"), {}
    for count in ("average", "final"):
        foretold = alone.law(column(sparse, count), column(sparse, "examples"))
        said = mean_of((column(sparse, "loss") - foretold) / foretold)
        errors[count] = {"mean": figure(said.value), "interval": [figure(said.low), figure(said.high)]}
    return {
        "runs": len(found),
        "seeds": len({r.seed for r in rows}),
        "range of N": [figure(v) for v in (column(found, "average").min(), column(found, "average").max())],
        "range of D": [figure(v) for v in (column(found, "examples").min(), column(found, "examples").max())],
        "mean deviation over seeds": figure(column(found, "deviation").mean()),
        "losses": {n: figure(one["loss"]) for n, one in found.items()},
        "law of the average": told(fits["average"]),
        "law of the end": told(fits["final"]),
        "error left out, the end's less the average's": {
            "mean": figure(less.value),
            "interval": [figure(less.low), figure(less.high)],
        },
        "law of the dense runs alone": told(alone),
        "sparse runs less what that foretells": errors,
    }


def readings(found: dict[str, Any]) -> dict[str, bool]:
    """What decides: intervals over runs."""
    out = {
        "3 the average foretells runs left out better than the end": found[
            "error left out, the end's less the average's"
        ]["interval"][0]
        > 0,
        "3 dense runs alone foretell sparse ones by the average, on the mean": spans(
            found["sparse runs less what that foretells"]["average"]["interval"]
        ),
    }
    for name in ("alpha", "beta"):
        low, high = found["law of the average"]["intervals"][name]
        out[f"5 {name} is known to a factor of {FACTOR:g}"] = low > 0 and high <= FACTOR * low
    return out


def spans(interval: Sequence[float]) -> bool:
    """Whether 0 is in it."""
    return interval[0] <= 0 <= interval[1]


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, fit, print; with --write keep it beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/law", type=Path)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    torch.set_num_threads(1)
    found = summary(play(given.out))
    found["readings"] = readings(found)
    print(json.dumps(found, indent=1))
    record(__file__, found, write=given.write, part="law")


if __name__ == "__main__":
    main()
