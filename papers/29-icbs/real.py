"""iCBS (arXiv:2411.17796) on a real vision transformer: what a start's mask gains over steps and seconds.

`python -m papers.29-icbs.real [OUT] [--seeds N]` keeps what each run gave in OUT/found.json as soon as it is there
(default out/icbs, 2 seeds), so that a run that was stopped goes on; then it prints the figures. `--write` keeps them in
expected.json.

The MLPs of DINOv2-small's last four blocks are made sparse under a linear head fitted to the whole model's features.
What those blocks read never changes, so it is computed once.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from papers.assets.pictures import fashion_mnist
from papers.assets.vision import dinov2_small
from papers.expected import record
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.core import Budget, Plan, Stats, View
from penjing.core.places import cache_folder
from penjing.data.images import Images
from penjing.maths.bootstrap import bootstrap
from penjing.maths.correlation import pearson
from penjing.methods.sparsify import icbs
from penjing.planning.order import Order
from penjing.planning.plans import gather
from penjing.running.live import Running
from penjing.running.source import Source, resolve
from penjing.running.stock import load
from penjing.tasks.images import Preparation
from penjing.tasks.images.probe import Probe, features, fit_probe

SIDE, BLOCKS, TENSORS = 56, 4, "*mlp.fc*.weight"
PREPARE = Preparation(resize=(SIDE, SIDE), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), channels=3)
HEAD, STEPPING, TEST = 1000, 1000, 1000
"""Pictures for the head, for the statistics and the steps, and to judge: no picture is in two of them."""
KEEPS, STARTS, MARKS = (0.5, 0.3), ("magnitude", "wanda"), (0, 10, 20, 40)
BLOCK, PER_STEP, DRAWS = 512, 32, 4000

Found = dict[str, dict[str, Any]]


class Tail(nn.Module):
    """The last blocks, the norm and the head: hidden states [b t d] to scores [b 10]."""

    def __init__(self, blocks: Sequence[nn.Module], norm: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.blocks, self.norm, self.head = nn.ModuleList(blocks), norm, head

    def forward(self, hidden: Tensor) -> Tensor:
        """[b 10]."""
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden)[:, 0])


@dataclass(eq=False)
class Watched:
    """A running model that remembers the masks after some steps: a step asks for the loss before it and after it."""

    inner: Running
    marks: Sequence[int]
    calls: int = 0
    kept: dict[int, Plan] = field(default_factory=dict)

    @property
    def examples(self) -> int:
        """How many there are."""
        return self.inner.examples

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        """As the inner one."""
        self.calls += 1
        if self.calls % 2 == 0 and self.calls // 2 in self.marks:
            self.kept[self.calls // 2] = plan
        return self.inner.value(plan, objective=objective, examples=examples)

    def gradients(
        self, tensors: Sequence[str], plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None
    ) -> Iterator[Mapping[str, Tensor]]:
        """As the inner one."""
        return self.inner.gradients(tensors, plan, objective=objective, examples=examples)


@dataclass(frozen=True, eq=False)
class Subject:
    """The blocks that are made sparse, and hidden states with labels: to take steps on, and to judge on."""

    tail: nn.Module
    source: Source
    stepping: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def subject() -> Subject:
    """The tail of DINOv2-small with a head for Fashion-MNIST, and what it reads of each part."""
    train, test = fashion_mnist("train"), fashion_mnist("t10k")
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randperm(len(x), generator=generator) for x in (train, test))
    heads, stepping = train.subset(one[:HEAD]), train.subset(one[HEAD : HEAD + STEPPING])
    module = load(dinov2_small())
    head = as_linear(fit_probe(features(module, heads, PREPARE), heads.labels, classes=10))
    layers = list(module.encoder.layer)
    tail = Tail(layers[-BLOCKS:], module.layernorm, head).eval()
    parts = [(read(module, layers[-BLOCKS], p), p.labels) for p in (stepping, test.subset(two[:TEST]))]
    return Subject(tail, resolve(tail, example=parts[0][0][:2]), parts[0], parts[1])


def as_linear(probe: Probe) -> nn.Linear:
    """The probe as a layer."""
    head = nn.Linear(probe.weight.shape[1], probe.weight.shape[0])
    head.load_state_dict({"weight": probe.weight, "bias": probe.bias})
    return head


def read(module: nn.Module, block: nn.Module, images: Images) -> Tensor:
    """[n t d]: what a block takes in of each picture."""
    out: list[Tensor] = []
    handle = block.register_forward_pre_hook(lambda _, taken: out.append(taken[0]))
    with torch.no_grad():
        for places in torch.arange(len(images)).split(50):
            module(PREPARE(images.pixels[places]))
    handle.remove()
    return torch.cat(out)


def improved(start: str, keep: float, seed: int, of: Subject) -> tuple[dict[int, Plan], list[dict[str, Any]]]:
    """(the masks by number of steps, the method's own curve)."""
    method = icbs.Method(tensors=TENSORS, start=start, steps=MARKS[-1], block=BLOCK, batch=PER_STEP, seed=seed)
    order = Order(method="icbs", budget=Budget(keep=keep), settings={}, batches=[of.stepping])
    stats = Stats()
    if wanted := method.wants(of.source.layout).statistics:
        stats, _ = gather(of.source, order, wanted, cache=cache_folder(), module=of.tail)
    live = Watched(Running(of.tail, [of.stepping], of.source.layout), MARKS)
    view = View(of.source.weights(), of.source.layout, stats, order.budget, live=live)
    begun = replace(method, steps=0).plan(view)
    curve = method.plan(view).made["curve"]
    return {0: begun, **live.kept}, curve


def judged(plan: Plan, of: Subject) -> dict[str, Any]:
    """Which pictures are right, and the loss of each, on pictures that no step has seen."""
    with Running(of.tail, [of.test], of.source.layout).edited(plan) as tail, torch.no_grad():
        scores = torch.cat([tail(x) for x in of.test[0].split(100)])
    right = scores.argmax(1) == of.test[1]
    loss = F.cross_entropy(scores, of.test[1], reduction="none")
    return {"right": "".join("01"[int(r)] for r in right), "loss": [round(float(v), 4) for v in loss]}


def play(out: Path, seeds: int) -> Found:
    """`start|keep|seed|steps` -> what was found; the two starts draw nothing, so that 0 steps are of seed 0 alone."""
    place = out / "found.json"
    found: Found = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    todo = [(start, keep, seed) for seed in range(seeds) for keep in KEEPS for start in STARTS]
    todo = [t for t in todo if f"{t[0]}|{t[1]:g}|{t[2]}|{MARKS[-1]}" not in found]
    if not todo:
        return found
    of = subject()
    found.setdefault("dense|1|0|0", judged(Plan(), of))
    for start, keep, seed in todo:
        plans, curve = improved(start, keep, seed, of)
        for steps, plan in plans.items():
            one = judged(plan, of) | {"zeros": plan_zeros(plan)}
            if steps:
                one |= {"seconds": round(curve[steps - 1]["seconds"], 1)}
            found[f"{start}|{keep:g}|{seed}|{steps}"] = one
        found[f"{start}|{keep:g}|{seed}|{MARKS[-1]}"]["curve"] = [
            {k: v for k, v in c.items() if k != "tensor"} for c in curve
        ]
        out.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(place)
        print(f"{start} {keep:g} {seed}: {curve[-1]['seconds']:.0f} seconds", flush=True)
    return found


def plan_zeros(plan: Plan) -> int:
    """How many weights are zeroed."""
    return sum(int((~e.kept).sum()) for e in plan.edits)


def curves(found: Found, seeds: int) -> dict[str, dict[str, Any]]:
    """`start keep` -> by number of steps: each seed's accuracy in per cent, mean loss, and seconds."""
    out: dict[str, dict[str, Any]] = {}
    for keep in KEEPS:
        for start in STARTS:
            rows = {}
            for steps in MARKS:
                each = [found[f"{start}|{keep:g}|{s}|{steps}"] for s in range(seeds if steps else 1)]
                rows[str(steps)] = {**of_test(each), "seconds": [e.get("seconds", 0.0) for e in each]}
            ends = [found[f"{start}|{keep:g}|{s}|{MARKS[-1]}"] for s in range(seeds)]
            gains = {w: gain(ends, found[f"{start}|{keep:g}|0|0"], w) for w in ("right", "loss")}
            told = [honesty(e["curve"]) for e in ends]
            out[f"{start} {keep:g}"] = {"zeros": ends[0]["zeros"], "steps": rows, "gain": gains, "honesty": told}
    return out


def of_test(each: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Accuracy in per cent and loss of each seed."""
    right = [100 * sum(map(int, e["right"])) / len(e["right"]) for e in each]
    return {"accuracy": [figure(r) for r in right], "loss": [figure(sum(e["loss"]) / len(e["loss"])) for e in each]}


def gain(ends: Sequence[Mapping[str, Any]], start: Mapping[str, Any], what: str) -> dict[str, Any]:
    """After the last step minus the start, with its 95 % interval over pictures (averaged over seeds first)."""
    scale = 100 if what == "right" else 1
    after = torch.tensor([[float(v) for v in e[what]] for e in ends], dtype=torch.float64).mean(0)
    gap = scale * (after - torch.tensor([float(v) for v in start[what]], dtype=torch.float64))[:, None]
    drawn = bootstrap(gap, lambda s: s[..., 0] / len(gap), generator=torch.Generator().manual_seed(0), draws=DRAWS)
    return {"difference": figure(drawn.value), "interval": [figure(v) for v in drawn.interval()]}


def honesty(curve: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How well the predicted change of a step's own batch's loss tells the real one; how many weights were swapped."""
    moved = [c for c in curve if c["swapped"]]
    predicted = torch.tensor([c["predicted"] for c in moved], dtype=torch.float64)
    real = torch.tensor([c["loss_after"] - c["loss_before"] for c in moved], dtype=torch.float64)
    agree = float((predicted.sign() == real.sign()).double().mean())
    swapped = sum(c["swapped"] for c in moved)
    return {"sign agreement": figure(agree), "correlation": figure(pearson(predicted, real)), "swapped": swapped}


def readings(table: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Which of the readings in README.md hold; a gain is one whose interval leaves out 0."""
    out = {}
    for name, one in table.items():
        out[f"{name}: steps raise held-out accuracy"] = one["gain"]["right"]["interval"][0] > 0
        out[f"{name}: steps lower held-out loss"] = one["gain"]["loss"]["interval"][1] < 0
        out[f"{name}: the predicted sign is right in 70 % of steps"] = all(
            s["sign agreement"] > 0.7 for s in one["honesty"]
        )
    for keep in KEEPS:
        first, second = (table[f"{s} {keep:g}"]["steps"] for s in STARTS)
        best = min(first[str(MARKS[-1])]["loss"])
        out[f"{keep:g}: steps from magnitude end below Wanda's loss"] = best < second["0"]["loss"][0]
    return out


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/icbs", type=Path)
    reader.add_argument("--seeds", type=int, default=2)
    reader.add_argument("--write", action="store_true")
    told = reader.parse_args()
    found = play(told.out, told.seeds)
    table = curves(found, told.seeds)
    facts = {"seeds": told.seeds, "test pictures": TEST, "chance": 10.0, "dense": of_test([found["dense|1|0|0"]])}
    out = {**facts, "runs": table, "readings": readings(table)}
    print(json.dumps(out, indent=1))
    record(__file__, out, write=told.write, part="vision transformer")


if __name__ == "__main__":
    main()
