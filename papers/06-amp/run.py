"""AMP (arXiv:2603.08100) on a real vision transformer: 40 % of the MLPs' neurons go, nothing is trained.

`python -m papers.06-amp.run [OUT] [--seeds N]` keeps what each plan gave in OUT/found.json as soon as it is there
(default out/amp, 3 seeds), so that a run that was stopped goes on; then it prints the figures. `--write` keeps them in
expected.json.

Every candidate leaves as many neurons. A plan is tried on the running model as its mask, which gives what the cut model
gives.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from papers.assets.from_cut import FromCut
from papers.assets.pictures import fashion_mnist
from papers.assets.vision import dinov2_small
from papers.expected import record
from torch import Tensor, nn
from torch.nn import functional as F

import penjing
from penjing.calibrate.objectives.entropy import entropy
from penjing.core import Budget, Keep, Plan, View
from penjing.core.places import cache_folder
from penjing.data.images import Images
from penjing.maths.bootstrap import bootstrap
from penjing.maths.cka import linear_cka
from penjing.maths.holm import holm
from penjing.maths.topk import best
from penjing.methods.prune import amp
from penjing.planning.order import Order
from penjing.planning.plans import gather, make_plan
from penjing.running.live import Running
from penjing.running.source import Source, resolve
from penjing.running.stock import load
from penjing.select.allocation import allocate
from penjing.select.axes import choose
from penjing.select.saliency import taken_in
from penjing.tasks.images import Preparation
from penjing.tasks.images.probe import Probe, WithProbe, features, fit_probe

SIDE, KEEP = 56, 922 / 1536
PREPARE = Preparation(resize=(SIDE, SIDE), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), channels=3)
TRAIN, TEST, CALIBRATION, BATCH = 400, 600, 64, 32
"""Pictures for the probe, to judge, and to rank and search on; AMP's entropy compares the pictures of one batch."""
BASE = "amp searched"
CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    BASE: ("amp", {"allocation": "searched", "examples": BATCH}),
    "amp searched, 64 together": ("amp", {"allocation": "searched"}),
    "amp": ("amp", {}),
    "amp global": ("amp", {}),
    "amp, labels": ("amp", {"objective": "loss"}),
    "taylor, labels": ("taylor", {}),
    "magnitude": ("magnitude", {}),
    "random": ("random", {}),
}
SIZED = {BASE: "searched", "amp searched, 64 together": "searched", "amp global": "global"}
"""AMP's scores with widths of their own: from its search, or from one ranking over all blocks."""
TOGETHER = {"amp searched, 64 together": CALIBRATION}
"""Pictures in a batch, where they are not BATCH."""
ONCE = ("magnitude", "amp searched, 64 together")
"""One plan: of weights alone, or for its time."""
MEASURES = ("probe", "neighbours", "head", "cosine")
NEIGHBOURS, DRAWS = 10, 4000

Found = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Parts:
    """The pictures: to fit the probe, to judge, and by seed to calibrate. No picture is in two of the three."""

    train: Images
    test: Images
    rest: Images

    def calibration(self, seed: int, batch: int) -> tuple[list[Tensor], list[Tensor]]:
        """(prepared pictures, labels) in batches, drawn anew for each seed."""
        order = torch.randperm(len(self.rest), generator=torch.Generator().manual_seed(seed))[:CALIBRATION]
        drawn = self.rest.subset(order)
        places = torch.arange(CALIBRATION).split(batch)
        return [PREPARE(drawn.pixels[p]) for p in places], [drawn.labels[p] for p in places]


def parts() -> Parts:
    """Fashion-MNIST's training pictures to fit and to calibrate, its test pictures to judge."""
    train, test = fashion_mnist("train"), fashion_mnist("t10k")
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randperm(len(x), generator=generator) for x in (train, test))
    return Parts(train.subset(one[:TRAIN]), test.subset(two[:TEST]), train.subset(one[TRAIN:]))


@dataclass(frozen=True, eq=False)
class Subject:
    """The model, what plans are made of, and the whole model's features of the test pictures and probe."""

    source: Source
    module: nn.Module
    headed: nn.Module
    labelled: Source
    head: Probe
    whole: Tensor


def opened(data: Parts) -> Subject:
    """DINOv2-small without a head, and with the probe of its own features as its head, for what needs labels."""
    source = resolve(dinov2_small())
    module = load(dinov2_small())
    head = fit_probe(features(module, data.train, PREPARE), data.train.labels, classes=10)
    headed = WithProbe(module, head)
    labelled = resolve(headed, example=PREPARE(data.train.pixels[:2]))
    return Subject(source, module, headed, labelled, head, features(module, data.test, PREPARE))


def planned(name: str, seed: int, of: Subject, data: Parts) -> Plan:
    """The plan of a candidate on the calibration pictures of a seed."""
    method, settings = CANDIDATES[name]
    pictures, labels = data.calibration(seed, TOGETHER.get(name, BATCH))
    with_labels = name.endswith("labels")
    batches = list(zip(pictures, labels, strict=True)) if with_labels else pictures
    order = Order(
        method=method, budget=Budget(keep=KEEP), settings={**settings, "multiple": 1}, batches=batches, seed=seed
    )
    if name in SIZED:
        return sized(order, SIZED[name], of)
    source, module = (of.labelled, of.headed) if with_labels else (of.source, of.module)
    return make_plan(source, order, cache=cache_folder(), module=module)


def sized(order: Order, how: str, of: Subject) -> Plan:
    """AMP's scores with widths from its search, or from one ranking over all blocks."""
    method = amp.Method(**order.settings)
    layout = of.source.layout
    stats, _ = gather(of.source, order, method.wants(layout).statistics, cache=cache_folder(), module=of.module)
    if how == "searched":
        live = FromCut(of.module, order.batches[0])
        return method.plan(View(of.source.weights(), layout, stats, order.budget, live=live))
    axes = choose(layout, method.axes)
    scores = {a.name: amp.score(taken_in(layout, stats, a.name, method.statistic)) for a in axes}
    counts = allocate(layout, axes, order.budget, scores, how=how, model=of.source.weights(), multiple=1)
    return Plan(tuple(Keep(a, best(s, counts[a])) for a, s in scores.items()))


def judged(plan: Plan, of: Subject, data: Parts) -> dict[str, Any]:
    """Which test pictures are right, and how alike features are to the whole model's.

    Right by a probe fitted anew, by the nearest of its pictures in the cut model's own features, and by the whole
    model's probe, which wants features to stay where they are.
    """
    running = Running(of.module, [PREPARE(data.train.pixels[:2])], of.source.layout)
    with running.edited(plan) as module:
        train, test = (features(module, p, PREPARE) for p in (data.train, data.test))
    fitted = fit_probe(train, data.train.labels, classes=10)
    near = (F.normalize(test) @ F.normalize(train).T).topk(NEIGHBOURS).indices
    votes = F.one_hot(data.train.labels[near], 10).sum(1)
    answers = {"probe": fitted(test), "neighbours": votes, "head": of.head(test)}
    return {
        **{n: "".join("01"[int(r)] for r in scores.argmax(1) == data.test.labels) for n, scores in answers.items()},
        "cosine": [round(float(c), 4) for c in F.cosine_similarity(test, of.whole)],
        "cka": figure(linear_cka(test, of.whole)),
        "entropy": round(float(torch.cat([entropy(x, x) for x in test.split(BATCH) if len(x) == BATCH]).mean()), 4),
        "sizes": [len(u) for u in plan.keeps().values()],
        "search": plan.made.get("search", {}),
    }


def play(out: Path, seeds: int) -> Found:
    """`candidate|seed` -> what was found."""
    place = out / "found.json"
    found: Found = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    todo = [("whole", 0), *((n, s) for s in range(seeds) for n in CANDIDATES if s == 0 or n not in ONCE)]
    if all(f"{n}|{s}" in found for n, s in todo):
        return found
    data = parts()
    of = opened(data)
    for name, seed in todo:
        key, began = f"{name}|{seed}", time.perf_counter()
        if key in found:
            continue
        plan = Plan() if name == "whole" else planned(name, seed, of, data)
        planning = time.perf_counter() - began
        found[key] = {**judged(plan, of, data), "seconds": round(planning, 1)}
        if name == BASE and seed == 0:
            found["cut"] = carried_out(plan, of, data)
        out.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(place)
        print(f"{key}: {planning:.0f} + {time.perf_counter() - began - planning:.0f} seconds", flush=True)
    return found


def carried_out(plan: Plan, of: Subject, data: Parts) -> dict[str, Any]:
    """The plan as a smaller module: its parameters, and how far its features lie from the mask's at most."""
    example = PREPARE(data.test.pixels[:8])
    running = Running(of.module, [example], of.source.layout)
    with running.edited(plan) as masked, torch.no_grad():
        expected = masked(example).pooler_output
    small: Any = penjing.apply(load(dinov2_small()), plan, example=example, stock=False)
    with torch.no_grad():
        gap = (small(example).pooler_output - expected).abs().max()
    count = sum(p.numel() for p in small.parameters())
    return {"parameters": count, "of": sum(p.numel() for p in of.module.parameters()), "gap": figure(gap)}


def rows(found: Found, name: str, what: str) -> Tensor:
    """[seeds pictures] float64, in per cent where pictures are right or wrong."""
    each = [f[what] for k, f in found.items() if k.rpartition("|")[0] == name]
    scale = 1 if what == "cosine" else 100
    return torch.tensor([[float(v) for v in e] for e in each], dtype=torch.float64) * scale


def table(found: Found) -> dict[str, dict[str, Any]]:
    """Candidate -> its figures, each seed's, and their difference to the searched widths, paired by picture.

    The interval is the bootstrap's over pictures (averaged over seeds first), p is corrected by Holm over candidates.
    """
    out: dict[str, dict[str, Any]] = {}
    for name in ("whole", *CANDIDATES):
        mine = [f for k, f in found.items() if k.rpartition("|")[0] == name]
        row: dict[str, Any] = {"neurons": sum(mine[0]["sizes"])}
        row |= {what: [f[what] for f in mine] for what in ("entropy", "cka")}
        for what in MEASURES:
            own = rows(found, name, what)
            row[what] = {"mean": figure(own.mean()), "seeds": [figure(v) for v in own.mean(1)]}
            if name != BASE:
                row[what] |= against(own, rows(found, BASE, what))
        out[name] = row
    for what in MEASURES:
        others = [n for n in out if n != BASE]
        for name, p in zip(others, holm([out[n][what].pop("p") for n in others]), strict=True):
            out[name][what]["p_holm"] = figure(p)
    return out


def against(own: Tensor, base: Tensor) -> dict[str, Any]:
    """Own minus base with its 95 % interval."""
    gap = (own.mean(0) - base.mean(0))[:, None]
    drawn = bootstrap(gap, lambda s: s[..., 0] / len(gap), generator=torch.Generator().manual_seed(0), draws=DRAWS)
    return {"difference": figure(drawn.value), "interval": [figure(v) for v in drawn.interval()], "p": drawn.p()}


def searches(found: Found) -> list[dict[str, Any]]:
    """Of each seed: the widths from the first block to the last, the bound, the runs, the rise of the entropy."""
    out = []
    for key, one in found.items():
        if key.rpartition("|")[0] == BASE:
            told: Mapping[str, Any] = one["search"]
            last = list(told["after"].values())[-1]
            out.append(
                {"sizes": one["sizes"], "bound": figure(told["bound"]), "runs": told["runs"],
                 "rise": figure(last - told["start"]), "unseen": figure(one["entropy"] - found["whole|0"]["entropy"])}
            )  # fmt: skip
    return out


def readings(rows: Mapping[str, Mapping[str, Any]], found: list[dict[str, Any]]) -> dict[str, bool]:
    """Which of the readings in README.md hold; better means by an interval of the difference that leaves out 0."""

    def beaten(name: str) -> dict[str, bool]:
        return {what: rows[name][what]["interval"][1] < 0 for what in MEASURES}

    rivals = {"2": "amp", "3": "amp global", "4": "magnitude", "5": "taylor, labels", "6": "random"}
    beats = {f"{i} searched beat {n}: {w}": b for i, n in rivals.items() for w, b in beaten(n).items()}
    whole, cut = (rows[n]["probe"]["mean"] for n in ("whole", BASE))
    return {
        "1 widths differ by a factor of 2 and more": all(max(f["sizes"]) >= 2 * min(f["sizes"]) for f in found),
        **beats,
        **{
            f"7 AMP's ranking beats random, every seed: {w}": min(rows["amp"][w]["seeds"])
            > max(rows["random"][w]["seeds"])
            for w in MEASURES
        },
        "8 a probe loses less than a point": cut > whole - 1,
    }


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/amp", type=Path)
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--write", action="store_true")
    told = reader.parse_args()
    found = play(told.out, told.seeds)
    rows_, search = table(found), searches(found)
    facts = {"seeds": told.seeds, "test pictures": TEST, "chance": 10.0, "cut": found["cut"]}
    out = {**facts, "search": search, "models": rows_, "readings": readings(rows_, search)}
    print(json.dumps(out, indent=1))
    record(__file__, out, write=told.write)


if __name__ == "__main__":
    main()
