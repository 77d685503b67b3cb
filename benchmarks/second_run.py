"""How long a second plan of a model takes until planning itself begins: everything comes from disk.

    python -m benchmarks.second_run MODEL [--method activation] [--rounds 5] [--threads 1]

A first plan fills the cache. Each round is a new process, as a command is; seconds are medians over rounds, with the
least and the most: `imports` until penjing and torch are there, `before planning` from the start of the process until
the method gets its statistics, `planning` from then on.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PARTS = ("imports", "before planning", "planning")


def inside(model: Path, method: str, threads: int) -> None:
    """Plan, in a process of its own, and print what it took."""
    began = time.perf_counter()
    import torch

    from penjing.core import Budget
    from penjing.core.places import cache_folder
    from penjing.planning.order import Order
    from penjing.planning.plans import make_plan
    from penjing.running.source import resolve

    imported = time.perf_counter()
    torch.set_num_threads(threads)
    seen: dict[str, float] = {}

    def progress(what: str, done: int, total: int) -> None:
        seen.setdefault(what, time.perf_counter())

    order = Order(method=method, budget=Budget(keep=0.75), settings={})
    make_plan(resolve(model), order, cache=cache_folder(), progress=progress)
    seconds = (imported - began, seen["planning"] - began, time.perf_counter() - seen["planning"])
    print(json.dumps({"found": "statistics found on disk" in seen, "seconds": seconds}))


def one(wish: argparse.Namespace) -> list[float]:
    """Seconds of each of `PARTS` in a new process."""
    env = {**os.environ, "OMP_NUM_THREADS": str(wish.threads)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs; so must a clone be, once
    command = [sys.executable, "-m", "benchmarks.second_run", str(wish.model), "--inside"]
    command += ["--method", wish.method, "--threads", str(wish.threads)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout)
    if not done["found"] and wish.warm:
        raise SystemExit("the statistics were not found on disk; is the cache folder writable (PENJING_CACHE)?")
    wish.warm = True
    return done["seconds"]


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--method", default="activation")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.inside:
        inside(wish.model, wish.method, wish.threads)
        return
    wish.warm = False
    one(wish)
    rounds = [one(wish) for _ in range(wish.rounds)]
    load = [round(v, 1) for v in os.getloadavg()]
    out: dict[str, object] = {"method": wish.method, "rounds": wish.rounds, "load": load}
    for name, column in zip(PARTS, zip(*rounds, strict=True), strict=True):
        figures = {"median": statistics.median(column), "least": min(column), "most": max(column)}
        out[name] = {what: round(value, 2) for what, value in figures.items()}
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
