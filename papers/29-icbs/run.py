"""Small-scale check of iCBS (arXiv:2411.17796) on 8 x 8 digits.

`python -m papers.29-icbs.run [seeds]` prints the figures as JSON; with `--write` it rewrites expected.json.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from papers.assets.pictures import digits
from papers.expected import record, text
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from penjing import layouts
from penjing.core import Budget, Plan, Stats, View
from penjing.maths.correlation import pearson
from penjing.methods.sparsify.icbs import Method

TRAIN_SHARE, EPOCHS, BATCH, KEEP, STEPS = 0.6, 60, 64, 0.1, 60
SETTINGS = {
    "paper": {},
    "no gradient": {"gradient": 0.0},
    "no ridge": {"ridge": 0.0},
    "no tabu": {"tabu": 0.0},
    "block of 1024": {"block": 1024, "steps": 20},
}


@dataclass(frozen=True)
class Tensors:
    """The weights as a checkpoint."""

    values: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape."""
        return {n: tuple(t.shape) for n, t in self.values.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """Name -> dtype."""
        return {n: t.dtype for n, t in self.values.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]


@dataclass(frozen=True)
class Running:
    """A classifier under masks, with all examples' gradients at once (`torch.func`)."""

    net: nn.Module
    x: Tensor
    y: Tensor

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.x)

    def weights(self, plan: Plan) -> dict[str, Tensor]:
        """All parameters, masked."""
        out = {n: p.detach() for n, p in self.net.named_parameters()}
        for edit in plan:
            out[edit.tensor] = out[edit.tensor] * edit.kept
        return out

    def logits(self, plan: Plan, x: Tensor) -> Tensor:
        """[b 10] under a plan."""
        return functional_call(self.net, self.weights(plan), (x,))

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        """The mean cross-entropy."""
        places = list(range(len(self.x)) if examples is None else examples)
        return float(F.cross_entropy(self.logits(plan, self.x[places]), self.y[places]))

    def gradients(
        self, tensors: Sequence[str], plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None
    ) -> Iterator[Mapping[str, Tensor]]:
        """Each example's."""
        places = list(range(len(self.x)) if examples is None else examples)
        fixed = self.weights(plan)

        def loss(wanted: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(functional_call(self.net, {**fixed, **wanted}, (x[None],)), y[None])

        found = vmap(grad(loss), (None, 0, 0))({t: fixed[t] for t in tensors}, self.x[places], self.y[places])
        for i in range(len(places)):
            yield {t: g[i] for t, g in found.items()}


def trained(x: Tensor, y: Tensor, seed: int) -> nn.Module:
    """64-128-64-10."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    solver, order = torch.optim.Adam(net.parameters(), 1e-3), torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for places in torch.randperm(len(x), generator=order).split(BATCH):
            solver.zero_grad()
            F.cross_entropy(net(x[places]), y[places]).backward()
            solver.step()
    return net


def fine_tuned(live: Running, plan: Plan, steps: int, seed: int) -> Running:
    """The same number of batches of 200 spent on Adam with the mask instead, and no block decided."""
    weights = {n: p.clone().requires_grad_() for n, p in live.weights(plan).items()}
    masks = {e.tensor: e.kept for e in plan}
    solver, order = torch.optim.Adam(weights.values(), 1e-3), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        places = torch.randperm(len(live.x), generator=order)[:200]
        solver.zero_grad()
        under = {n: w * masks[n] if n in masks else w for n, w in weights.items()}
        F.cross_entropy(functional_call(live.net, under, (live.x[places],)), live.y[places]).backward()
        solver.step()
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    net.load_state_dict({n: w.detach() for n, w in weights.items()})
    return Running(net, live.x, live.y)


def one_seed(seed: int) -> dict[str, dict[str, float]]:
    """Settings -> figures."""
    train, test = digits().split([TRAIN_SHARE, 1 - TRAIN_SHARE], seed=seed)
    x, x2 = (p.pixels[torch.arange(len(p))].flatten(1).float() / 255 for p in (train, test))
    net = trained(x, train.labels, seed)
    live = Running(net, x, train.labels)
    model, layout = Tensors({n: p.detach() for n, p in net.named_parameters()}), layouts.from_module(net, x[:2])

    def figures(plan: Plan, of: Running = live) -> dict[str, float]:
        right = of.logits(plan, x2).argmax(1).eq(test.labels).double().mean()
        return {"accuracy": float(right), "train loss": of.value(plan)}

    def planned(**settings: Any) -> Plan:
        chosen = {"start": "magnitude", "batch": 200, "block": 128, "steps": STEPS, "seed": seed, **settings}
        return Method(**chosen).plan(View(model, layout, Stats(), Budget(keep=KEEP), live=live))

    start = planned(steps=0)
    out = {"dense": figures(Plan()), "magnitude": figures(start)}
    for steps in (20, 40):
        out[f"{steps} steps"] = figures(planned(steps=steps))
    for name, settings in SETTINGS.items():
        plan = planned(**settings)
        out[f"{name}"] = {**figures(plan), **honesty(plan.made["curve"])}
    out["fine-tuning instead"] = figures(start, fine_tuned(live, start, STEPS, seed))
    return out


def honesty(curve: list[dict[str, float]]) -> dict[str, float]:
    """How well the predicted change of the loss tells the real one, and how long it all took."""
    moved = [c for c in curve if c["swapped"]]
    if not moved:
        return {"moving steps": 0.0}
    predicted = torch.tensor([c["predicted"] for c in moved], dtype=torch.float64)
    real = torch.tensor([c["loss_after"] - c["loss_before"] for c in moved], dtype=torch.float64)
    agree = float((predicted.sign() == real.sign()).double().mean())
    return {"sign agreement": agree, "correlation": float(pearson(predicted, real)), "seconds": curve[-1]["seconds"]}


def run(seeds: int) -> dict[str, Any]:
    """Means and, for two seeds or more, every seed's figures."""
    began = time.perf_counter()
    each = [one_seed(seed) for seed in range(seeds)]
    sys.stderr.write(f"{time.perf_counter() - began:.1f} seconds\n")
    table = {m: {k: [round(e[m][k], 4) for e in each] for k in f if k != "seconds"} for m, f in each[0].items()}
    return {"seeds": seeds, "columns": "one figure for each seed", "models": table, "readings": readings(table)}


def readings(table: dict[str, dict[str, list[float]]]) -> dict[str, bool]:
    """Which of the readings in README.md hold at every seed."""

    def over(left: str, right: str, what: str = "accuracy", by: float = 0.0) -> bool:
        return all(a > b + by for a, b in zip(table[left][what], table[right][what], strict=True))

    return {
        "1 accuracy rises by 30 points and more without training": over("paper", "magnitude", by=0.3),
        "2 the loss stays far above the dense one": over("paper", "dense", "train loss", by=0.3),
        "3 the predicted sign is right in 70 % of steps": min(table["paper"]["sign agreement"]) > 0.7,
        "4 predicted and real changes correlate": min(table["paper"]["correlation"]) > 0.3,
        "5 without the gradient it is worse": over("paper", "no gradient"),
        "6 without the tabu list it is worse": over("paper", "no tabu"),
        "7 blocks of 1024 are worse": over("paper", "block of 1024"),
        "8 fine-tuning for as many batches wins": over("fine-tuning instead", "paper"),
    }


def main() -> None:
    """Print the figures; with --write keep them beside this file."""
    numbers = [a for a in sys.argv[1:] if a.isdigit()]
    found = run(int(numbers[0]) if numbers else 2)
    sys.stdout.write(text(found))
    record(__file__, found, write="--write" in sys.argv, part="digits")


if __name__ == "__main__":
    main()
