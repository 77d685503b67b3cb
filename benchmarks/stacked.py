"""Small networks trained at a time against the same trained one by one, in turns, in one process on one thread.

    python -m benchmarks.stacked [--turns 5] [--write FILE.json]

One by one is an `nn.Sequential` with torch's AdamW in a plain loop. Each turn times so many steps of both; the ratio is
that of networks trained a second, its spread the least and most over the turns. Inputs are drawn at random: the work is
that of 8 x 8 digits, of Fashion-MNIST, and of LeNets.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn

from penjing.train.stacked import Course, Examples, Stack, convolutional, draw, fit, perceptron

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "64-10-10-10": (lambda: perceptron((64, 10, 10, 10)), (64,), 64),
    "784-10-10-10": (lambda: perceptron((784, 10, 10, 10)), (784,), 64),
    "64-32-16-10": (lambda: perceptron((64, 32, 16, 10)), (64,), 64),
    "64-300-100-10": (lambda: perceptron((64, 300, 100, 10)), (64,), 32),
    "784-300-100-10": (lambda: perceptron((784, 300, 100, 10)), (784,), 16),
    "convolutions 6, 16": (lambda: convolutional((6, 16), (120, 84), side=28), (1, 28, 28), 8),
}
"""Name -> (the network, the shape of an input, how many are stacked)."""
BATCH, COUNT = 60, 600


def one_by_one(make: Callable[[], nn.Module], examples: Examples, steps: int) -> float:
    """Seconds for a step of one network."""
    network = make()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    order = torch.randperm(len(examples)).repeat(1 + steps * BATCH // len(examples))
    began = time.perf_counter()
    for step in range(steps):
        places = order[step * BATCH : (step + 1) * BATCH]
        loss = nn.functional.cross_entropy(network(examples.inputs[places]), examples.labels[places])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return (time.perf_counter() - began) / steps


def stacked(make: Callable[[], nn.Module], examples: Examples, steps: int, count: int) -> float:
    """Seconds for a step of one network of the stack; each sees its own order."""
    network = make()
    stack = Stack(network, draw(network, range(count)))
    began = time.perf_counter()
    fit(stack, examples, Course(steps=steps, batch=BATCH), range(count))
    return (time.perf_counter() - began) / steps / count


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    out = {}
    print("| network | weights | stacked | times as many a second | least, most | load |\n|---|---|---|---|---|---|")
    for name, (make, shape, count) in NETWORKS.items():
        examples = Examples(torch.randn(COUNT, *shape), torch.randint(10, (COUNT,)))
        slow, quick = [], []
        for turn in range(given.turns + 1):  # the first is not counted
            one, many = one_by_one(make, examples, 60), stacked(make, examples, max(2, 300 // count), count)
            if turn:
                slow.append(one)
                quick.append(many)
        ratios = [a / b for a, b in zip(slow, quick, strict=True)]
        weights = sum(p.numel() for p in make().parameters())
        load = os.getloadavg()[0]
        out[name] = {
            "weights": weights, "stacked": count, "ratio": median(ratios), "least": min(ratios), "most": max(ratios),
            "one": median(slow), "many": median(quick), "load": load,
        }  # fmt: skip
        spread = f"{min(ratios):.1f}, {max(ratios):.1f}"
        print(f"| {name} | {weights:,} | {count} | {median(ratios):.1f} | {spread} | {load:.1f} |", flush=True)
    if given.write:
        given.write.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
