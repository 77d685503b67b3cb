"""Two CNNs at half of their multiply-adds: `python -m benchmarks.rivals.cnns [--net digits lite0] [--share 0.5]`.

The small network for MNIST's digits and EfficientNet-lite0, cut by Torch-Pruning (magnitude, Taylor) and by penjing to
the same count of multiply-adds, by torch's own counter on both; nothing is trained. Both tools get the same pictures.
What is judged is in none of them. Digits: accuracy. EfficientNet-lite0: how far its ImageNet classes are those of the
whole network (agreement, KL), and the accuracy of a linear probe on CIFAR-10, fitted on each network's features
anew; both again after the means and variances of its batch norms were taken anew from the calibration pictures.
"""

import argparse
import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from papers.assets.digits_cnn import DIGITS_PREPARATION, mnist_digits
from papers.assets.pictures import cifar10_test
from torch import Tensor, nn

from benchmarks.rivals.jobs.cnns import last, macs, network, resized
from benchmarks.rivals.running import run
from penjing.cli.console import progress_bar
from penjing.core import Budget
from penjing.core.places import cache_folder
from penjing.data.images import Images
from penjing.maths.bootstrap import bootstrap
from penjing.planning.plans import Order, make_plans
from penjing.running.source import resolve
from penjing.surgery import apply
from penjing.tasks.images import Preparation, fit_probe

SEEDS, DRAWS, SECONDS = 3, 4000, 1800.0
OURS = "penjing, activation"
BATCH = 32
NETS: dict[str, tuple[str, ...]] = {"digits": ("every",), "lite0": ("every", "inner")}
AXES = {"every": "channels,residual,neurons", "inner": "channels.[0-9]*"}
SEEDLESS = ("magnitude",)
DIGITS_ONLY = ("penjing, activation, windows left",)
"""EfficientNet-lite0 has no convolution with a window that reads channels of others, so this would be ours again."""
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    OURS: ("activation", {"windows": True}),
    "penjing, activation, windows left": ("activation", {}),
    "penjing, activation without refit": ("activation", {"repair": False}),
    "penjing, taylor": ("taylor", {}),
    "penjing, taylor, global": ("taylor", {"allocation": "global", "normalise": "mean"}),
    "penjing, magnitude": ("magnitude", {}),
}
RIVAL = {
    f"Torch-Pruning, {importance}, {ranking}": {"importance": importance, "ranking": ranking}
    for importance in ("magnitude", "taylor")
    for ranking in ("local", "global")
}


@dataclass(frozen=True)
class Data:
    """An example, each seed's calibration batches with labels, and what is judged; `train` is for the probe."""

    example: Tensor
    seeds: list[list[tuple[Tensor, Tensor]]]
    test: tuple[Tensor, Tensor]
    train: tuple[Tensor, Tensor] | None = None


def parts(images: Images, how: Preparation, counts: Mapping[str, int]) -> dict[str, tuple[Tensor, Tensor]]:
    """Disjoint prepared pictures with labels, drawn by one seed."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    places = order[: sum(counts.values())].split(list(counts.values()))
    return {n: (how(images.pixels[p]), images.labels[p]) for n, p in zip(counts, places, strict=True)}


def draws(pool: tuple[Tensor, Tensor], count: int) -> list[list[tuple[Tensor, Tensor]]]:
    """For each seed, batches of `count` pictures out of the pool."""
    out = []
    for seed in range(SEEDS):
        order = torch.randperm(len(pool[0]), generator=torch.Generator().manual_seed(seed))[:count]
        out.append([(pool[0][p], pool[1][p]) for p in order.split(BATCH)])
    return out


def data(net: str, module: nn.Module) -> Data:
    """The pictures of a network; EfficientNet's calibration labels are what it says itself, as CIFAR has others."""
    if net == "digits":
        found = parts(mnist_digits(), DIGITS_PREPARATION, {"pool": 2000, "test": 8000})
        return Data(found["test"][0][:1], draws(found["pool"], 512), found["test"])
    how = Preparation(resize=(128, 128), scale=1.0, mean=(127.0,), std=(128.0,))
    found = parts(cifar10_test(), how, {"train": 400, "pool": 512, "test": 600})
    said = outputs(module, found["pool"][0])[1].argmax(1)
    return Data(found["test"][0][:1], draws((found["pool"][0], said), 256), found["test"], found["train"])


def outputs(module: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """What the last layer takes in [pictures features], and the logits [pictures classes]."""
    seen: list[Tensor] = []
    hook = last(module).register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    with torch.inference_mode():
        logits = torch.cat([module(part) for part in pictures.split(BATCH)])
    hook.remove()
    return torch.cat(seen), logits


def ours(net: str, scope: str, held: Data, limit: float) -> dict[str, dict[int, nn.Module]]:
    """Side -> seed -> penjing's smaller module."""
    module = network(net)
    source = resolve(module, example=held.example)
    out: dict[str, dict[int, nn.Module]] = {name: {} for name in MADE}
    for seed, batches in enumerate(held.seeds):
        orders = {
            name: Order(
                method=method, budget=Budget(macs=int(limit)), batches=batches,
                settings={**settings, "axes": AXES[scope], "multiple": 1},
            )
            for name, (method, settings) in MADE.items()
            if (not seed or method not in SEEDLESS) and (net == "digits" or name not in DIGITS_ONLY)
        }  # fmt: skip
        plans = make_plans(source, orders, cache=cache_folder(), module=module)
        for name, plan in plans.items():
            out[name][seed] = apply(module, source.layout, plan, example=held.example, stock=False)
    return out


def theirs(net: str, scope: str, held: Data, limit: float) -> dict[str, dict[int, nn.Module]]:
    """Side -> seed -> Torch-Pruning's, built again from the weights that its process gave."""
    cases = {
        f"{name}|{seed}": {**case, "scope": scope, "seed": seed}
        for name, case in RIVAL.items()
        for seed in range(1 if case["importance"] in SEEDLESS else SEEDS)
    }
    with tempfile.TemporaryDirectory() as scratch:
        told, out = Path(scratch) / "data.pt", Path(scratch) / "states.pt"
        torch.save({"example": held.example, "seeds": held.seeds}, told)
        arguments = {"net": net, "data": str(told), "macs": limit, "cases": cases, "out": str(out)}
        done = run("torch-pruning", "cnns_torch_pruning", arguments, seconds=SECONDS, threads=1)
        if done["status"] != "ok":
            raise SystemExit(f"Torch-Pruning on {net}: {done['said']}")
        states = torch.load(out, weights_only=True)
    found: dict[str, dict[int, nn.Module]] = {name: {} for name in RIVAL}
    for key, state in states.items():
        name, seed = key.split("|")
        made = resized(network(net), state)
        check = float(made(held.example).double().abs().sum())
        if abs(check - done["cases"][key]["check"]) > 1e-3 * check:
            raise SystemExit(f"{key} gives other outputs here than in its own process")
        found[name][int(seed)] = made
    return found


def renormed(module: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> nn.Module | None:
    """A copy whose batch norms have the means and variances of these pictures, or None when it has no batch norms."""
    out = copy.deepcopy(module)
    norms = [m for m in out.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for pictures, _ in batches if norms else ():
            out(pictures)
    return out.eval() if norms else None


def judged(module: nn.Module, held: Data, said: Tensor) -> dict[str, Tensor]:
    """Figure -> a value for each picture [pictures]; `said` is what the whole network gives."""
    features, logits = outputs(module, held.test[0])
    if held.train is None:
        return {"accuracy": (logits.argmax(1) == held.test[1]).double()}
    dense, cut = said.double().log_softmax(1), logits.double().log_softmax(1)
    found = outputs(module, held.train[0])[0]
    probe = fit_probe(found, held.train[1], classes=10)
    return {
        "agreement": (logits.argmax(1) == said.argmax(1)).double(),
        "divergence": (dense.exp() * (dense - cut)).sum(1),
        "probe": (probe(features).argmax(1) == held.test[1]).double(),
    }


def compare(net: str, scope: str, held: Data, share: float) -> dict[str, Any]:
    """Side -> multiply-adds as a share, and each figure with its range over seeds and its difference from ours."""
    module = network(net)
    whole, said = macs(module, held.example), outputs(module, held.test[0])[1]
    limit = share * whole
    found: dict[str, list[dict[str, Tensor]]] = {"whole": [judged(module, held, said)]}
    shares: dict[str, list[float]] = {"whole": [1.0]}
    for side, made in {**ours(net, scope, held, limit), **theirs(net, scope, held, limit)}.items():
        for seed, cut in made.items():
            shares.setdefault(side, []).append(macs(cut, held.example) / whole)
            found.setdefault(side, []).append(judged(cut, held, said))
            again = renormed(cut, held.seeds[seed])
            if again is not None:
                more = {f"{k}, norms anew": v for k, v in judged(again, held, said).items()}
                found[side][-1] |= more
    base = {k: torch.stack([s[k] for s in found[OURS]]) for k in found[OURS][0]}
    out: dict[str, Any] = {}
    for side, each in found.items():
        out[side] = {"macs": [round(s, 4) for s in shares[side]]}
        for k in each[0]:
            out[side][k] = against(torch.stack([s[k] for s in each]), None if side in (OURS, "whole") else base[k])
    return out


def against(values: Tensor, base: Tensor | None) -> dict[str, Any]:
    """Mean, range over seeds, and the difference from the base with the interval of the bootstrap over pictures.

    Both are [seeds pictures]; seeds are averaged first.
    """
    means = values.mean(1)
    out: dict[str, Any] = {"mean": figure(means.mean()), "low": figure(means.min()), "high": figure(means.max())}
    if base is not None:
        gap = (values.mean(0) - base.mean(0))[:, None]
        drawn = bootstrap(gap, lambda s: s[..., 0] / len(gap), generator=torch.Generator().manual_seed(0), draws=DRAWS)
        out |= {"gap": figure(drawn.value), "interval": [figure(v) for v in drawn.interval()]}
    return out


def figure(value: Any) -> float:
    """Four digits after the point."""
    return round(float(value), 4)


def show(title: str, sides: Mapping[str, Mapping[str, Any]]) -> None:
    """A markdown table: sides down, figures across, each with its range over seeds and its difference from ours."""
    keys = [k for k in sides[OURS] if k != "macs"]
    print(f"\n{title}\n\n| side | multiply-adds | " + " | ".join(keys) + " |\n|---|---|" + "---|" * len(keys))
    for side, row in sides.items():
        cells = [told(row[k]) if k in row else "" for k in keys]
        print(f"| {side} | {max(row['macs']):.3f} | " + " | ".join(cells) + " |")


def told(row: Mapping[str, Any]) -> str:
    """One cell."""
    seeds = f" [{row['low']:.4f} to {row['high']:.4f}]" if row["low"] != row["high"] else ""
    gap = f"; {row['gap']:+.4f} ({row['interval'][0]:+.4f} to {row['interval'][1]:+.4f})" if "gap" in row else ""
    return f"{row['mean']:.4f}{seeds}{gap}"


def main() -> None:
    """Compare, print, and keep the figures, network by network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=list(NETS), nargs="+", default=list(NETS))
    parser.add_argument("--share", type=float, nargs="+", default=[0.5], help="of the multiply-adds that stay")
    parser.add_argument("--scope", choices=list(AXES), nargs="+", default=list(AXES))
    parser.add_argument("--out", type=Path, default=Path("out/rivals-cnns.json"))
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else {}
    todo = [(n, c, s) for n in given.net for c in NETS[n] if c in given.scope for s in given.share]
    with progress_bar() as progress:
        for i, (net, scope, share) in enumerate(todo):
            progress("networks", i, len(todo))
            key = f"{net}, {scope} channels, {share:g}"
            if key not in found:
                found[key] = compare(net, scope, data(net, network(net)), share)
                given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            show(key, found[key])
    print(f"\nall figures: {given.out}")


if __name__ == "__main__":
    main()
