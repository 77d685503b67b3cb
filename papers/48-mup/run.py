"""Small-scale check of "Feature Learning in Infinite-Width Neural Networks" (arXiv:2011.14522) on 8 x 8 digits.

`python -m papers.48-mup.run [seeds]` prints the figures as JSON; with `--write` it rewrites expected.json.
"""

import math
import sys
import time
from collections.abc import Iterator

import torch
from papers.assets.pictures import digits
from papers.expected import record, text
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.maths.parametrisation import classify, named
from penjing.train.mup import Linear, changes, groups, scales, set_up, slopes

BASE, WIDTHS, BATCH = 64, (64, 128, 256, 512, 1024, 2048), 64
CHECK_STEPS, CHECK_RATE = 3, 5e-3
TRANSFER_WIDTHS, TRANSFER_STEPS, RATES = (64, 256, 1024), 60, tuple(2.0**-k for k in range(4, 14))
LIMIT_WIDTHS, LIMIT_STEPS, LIMIT_RATE, DRAWS = (64, 256, 1024, 4096), 30, 0.5, 10
KERNEL_WIDTHS, KERNEL_RATE = (64, 256, 1024, 4096), 0.5
LAYERS = {"0": "first hidden", "2": "second hidden", "4": "logits"}


def mlp(width: int, seed: int = 0) -> nn.Sequential:
    """Two hidden layers of ReLU on 64 pixels, ten classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10),
    )  # fmt: skip


def pictures() -> tuple[Tensor, Tensor]:
    """([n 64] of mean 0 and deviation 1, labels [n])."""
    found = digits()
    pixels = found.pixels[torch.arange(len(found))].flatten(1).float()
    return (pixels - pixels.mean()) / pixels.std(), found.labels


def prepared(width: int, seed: int, way: str, rate: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A fresh network and its Adam, in the plain parametrisation or by the rules."""
    module = mlp(width, seed)
    if way == "plain":
        return module, torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.0)
    base = mlp(BASE)
    known = scales(module, base, mlp(2 * BASE))
    set_up(module, base, known)
    return module, torch.optim.AdamW(groups(module, known, learning_rate=rate))


def step(module: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """One step on a batch; the loss before it."""
    optimiser.zero_grad()
    loss = F.cross_entropy(module(x), y)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def coordinates(seeds: int, x: Tensor, y: Tensor) -> dict[str, dict[str, float]]:
    """Way -> layer -> slope of the change after the last step."""
    out = {}
    for way in ("plain", "mup"):
        found = []
        for width in WIDTHS:
            for seed in range(seeds):
                module, optimiser = prepared(width, seed, way, CHECK_RATE)
                found += changes(
                    module, width, lambda net, o=optimiser: step(net, o, x[:BATCH], y[:BATCH]),
                    lambda net: net(x[:BATCH]), steps=CHECK_STEPS,
                )  # fmt: skip
        told = slopes(found)
        out[way] = {name: round(told[layer, CHECK_STEPS][1], 3) for layer, name in LAYERS.items()}
    return out


def transfer(seeds: int, x: Tensor, y: Tensor) -> dict[str, dict[str, float]]:
    """Way -> width -> log2 of the rate with the least mean loss of the last ten steps, over seeds."""
    out: dict[str, dict[str, float]] = {}
    for way in ("plain", "mup"):
        out[way] = {}
        for width in TRANSFER_WIDTHS:
            losses = [sum(last_loss(width, s, way, rate, x, y) for s in range(seeds)) / seeds for rate in RATES]
            best = min(range(len(RATES)), key=lambda i: losses[i])
            out[way][str(width)] = math.log2(RATES[best])
            out[way][f"{width} loss"] = round(losses[best], 4)
    return out


def last_loss(width: int, seed: int, way: str, rate: float, x: Tensor, y: Tensor) -> float:
    """The mean loss of the last ten steps; infinite where it is not a number."""
    module, optimiser = prepared(width, seed, way, rate)
    drawn = torch.Generator().manual_seed(seed)
    last = []
    for at in range(TRANSFER_STEPS):
        places = torch.randint(len(x), (BATCH,), generator=drawn)
        loss = step(module, optimiser, x[places], y[places])
        if at >= TRANSFER_STEPS - 10:
            last.append(loss)
    found = sum(last) / len(last)
    return found if math.isfinite(found) else math.inf


def limit(x: Tensor, y: Tensor) -> dict[str, object]:
    """How far finite linear networks are from the infinite one after some steps, and the slope of that over width.

    Of the outputs (root of the mean square) and of the loss, in which, near its least, distances count squared.
    """
    rule, targets = Linear(inputs=64, outputs=10, out=0.5), F.one_hot(y, 10).float()
    scaled = x / 8

    def trained(module: nn.Module) -> tuple[Tensor, float]:
        optimiser = torch.optim.SGD(module.parameters(), lr=LIMIT_RATE)
        found = torch.zeros(())
        for _ in range(LIMIT_STEPS):
            optimiser.zero_grad()
            found = (module(scaled) - targets).square().sum(1).mean() / 2
            found.backward()
            optimiser.step()
        return module(scaled).detach(), float(found.detach())

    exact, least = trained(rule.limit())
    outputs, losses = {}, {}
    for width in LIMIT_WIDTHS:
        each = [trained(rule.sample(width, torch.Generator().manual_seed(s))) for s in range(DRAWS)]
        outputs[width] = sum(float((o - exact).square().mean().sqrt()) for o, _ in each) / DRAWS
        losses[width] = sum(abs(one - least) for _, one in each) / DRAWS
    return {
        "loss of the limit": round(least, 5), "networks": DRAWS,
        "distance of outputs": {str(w): round(g, 6) for w, g in outputs.items()}, "slope": round(fitted(outputs), 3),
        "distance of losses": {str(w): round(g, 6) for w, g in losses.items()},
        "slope of losses": round(fitted(losses), 3),
    }  # fmt: skip


def kernel(seeds: int, x: Tensor, y: Tensor) -> dict[str, float]:
    """Way -> slope over width of the relative change of the last hidden states after one step of SGD."""
    out = {}
    for way in ("ntk", "mup"):
        found = {}
        for width in KERNEL_WIDTHS:
            each = [moved(width, seed, way, x[:BATCH], y[:BATCH]) for seed in range(seeds)]
            found[width] = sum(each) / seeds
        out[way] = round(fitted(found), 3)
    return out


def moved(width: int, seed: int, way: str, x: Tensor, y: Tensor) -> float:
    """|change of the last hidden states| over |them| after three steps, of a network written as in the paper."""
    abc = named(way)
    generator = torch.Generator().manual_seed(seed)
    shapes = ((width, 64), (width, width), (10, width))
    w = [
        (torch.randn(s, generator=generator) * width**-b).requires_grad_()
        for s, b in zip(shapes, abc.b, strict=True)
    ]  # fmt: skip

    def states() -> Iterator[Tensor]:
        now = x / 8
        for matrix, a in zip(w, abc.a, strict=True):
            now = now @ (width**-a * matrix).T
            yield now
            now = now.relu()

    before = list(states())[1].detach()
    for _ in range(3):
        loss = F.cross_entropy(list(states())[-1], y)
        for matrix, gradient in zip(w, torch.autograd.grad(loss, w), strict=True):
            matrix.data -= KERNEL_RATE * width**-abc.c * gradient
    after = list(states())[1].detach()
    return float((after - before).norm() / before.norm())


def fitted(values: dict[int, float]) -> float:
    """The slope of log value over log width."""
    x = torch.tensor([math.log(w) for w in values], dtype=torch.float64)
    y = torch.tensor([math.log(v) for v in values.values()], dtype=torch.float64)
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


def run(seeds: int) -> dict[str, object]:
    """All of it."""
    began = time.perf_counter()
    x, y = pictures()
    table = {n: [classify(named(n)).r, classify(named(n)).regime] for n in ("standard", "ntk", "mup")}
    checked, rates = coordinates(seeds, x, y), transfer(seeds, x, y)
    wide, still = limit(x, y), kernel(seeds, x, y)
    spread = {way: max(v for k, v in told.items() if k.isdigit()) - min(v for k, v in told.items() if k.isdigit())
              for way, told in rates.items()}  # fmt: skip
    sys.stderr.write(f"{time.perf_counter() - began:.1f} seconds\n")
    steady = all(abs(v) <= 0.15 for v in checked["mup"].values())
    return {
        "seeds": seeds,
        "regimes": table,
        "slopes of changes after 3 steps of Adam, widths 64 to 2048": checked,
        "log2 of the best rate after 60 steps": rates,
        "octaves that the best rate moves from width 64 to 1024": spread,
        "linear limit": wide,
        "slope of the relative change of hidden states over width, SGD": still,
        "readings": {
            "1 states and logits change as much at all widths by the rules": steady,
            "1 without them logits change more the wider it is": checked["plain"]["logits"] >= 0.4,
            "2 the best rate stays by the rules, within an octave": spread["mup"] <= 1,
            "2 without them it falls": rates["plain"]["1024"] < rates["plain"]["64"],
            "3 linear networks come to their limit with the root of the width": abs(wide["slope"] + 0.5) <= 0.2,
            "4 in the kernel's scaling hidden states stop moving": abs(still["ntk"] + 0.5) <= 0.15,
            "4 by the rules they move at all widths": abs(still["mup"]) <= 0.15,
        },
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    found = run(int(words[0]) if words else 3)
    sys.stdout.write(text(found))
    record(__file__, found, write="--write" in sys.argv)
