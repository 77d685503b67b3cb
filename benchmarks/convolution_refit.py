"""What refitting convolutions over their windows is worth: three small networks trained on Fashion-MNIST, cut, judged.

`python -m benchmarks.convolution_refit` trains each network of each seed on 30,000 of the training images for two
epochs, plans with 512 of these, and takes accuracies on the 5,000 last training images (`held out`) and on the 10,000
test images. Nothing is chosen by either. One JSON line for each result; half an hour on one thread.
"""

import argparse
import json
import time
from typing import Literal

import torch
import torch.nn.functional as F
from papers.assets import pictures
from torch import Tensor, nn

import penjing

TRAINED, PLANNED, EPOCHS, BATCH = 30_000, 512, 2, 128
SETTINGS = {"refitted": {}, "windows=False": {"windows": False}, "repair=False": {"repair": False}}


def _convolution(into: int, out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(into, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()


def plain() -> nn.Module:
    """Four convolutions."""
    first = [*_convolution(1, 16), nn.MaxPool2d(2), *_convolution(16, 32), *_convolution(32, 32), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *_convolution(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Residual(nn.Module):
    """Six convolutions, four of them in two residual branches."""

    def __init__(self) -> None:
        """Widths 16 and 32, wider inside the branches."""
        super().__init__()
        self.stem, self.down = nn.Sequential(*_convolution(1, 16)), nn.Sequential(*_convolution(16, 32, stride=2))
        self.first = nn.Sequential(*_convolution(16, 24), *_convolution(24, 16)[:2])
        self.second = nn.Sequential(*_convolution(32, 48), *_convolution(48, 32)[:2])
        self.out = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """[examples classes] from images."""
        x = F.max_pool2d(self.stem(x), 2)
        x = self.down(torch.relu(x + self.first(x)))
        return self.out(torch.relu(x + self.second(x)).mean((2, 3)))


def lenet() -> nn.Module:
    """Two convolutions of 5 x 5, two linear layers, no norms."""
    first = [nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU()]
    return nn.Sequential(*first, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 120), nn.ReLU(), nn.Linear(120, 10))


NETS = {"plain": plain, "residual": Residual, "lenet": lenet}


def accuracy(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images whose label is the largest output."""
    with torch.no_grad():
        hits = [module(x).argmax(1) == y for x, y in zip(images.split(500), labels.split(500), strict=True)]
    return float(torch.cat(hits).float().mean())


def trained(name: str, seed: int, images: Tensor, labels: Tensor) -> nn.Module:
    """A network of this name, trained."""
    torch.manual_seed(seed)
    module, steps = NETS[name](), EPOCHS * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(module.parameters(), 2e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps + 1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            if len(rows) < BATCH:
                continue
            optimiser.zero_grad()
            F.cross_entropy(module(images[rows]), labels[rows]).backward()
            optimiser.step()
            rate.step()
    return module.eval()


def tensors(part: Literal["train", "t10k"]) -> tuple[Tensor, Tensor]:
    """(images [n 1 28 28], about zero and of unit spread; labels [n])."""
    found = pictures.fashion_mnist(part)
    pixels = found.pixels[torch.arange(len(found))].reshape(-1, 1, 28, 28)
    return pixels.float().div(255).sub(0.286).div(0.353), found.labels.long()


def results(name: str, seed: int, keeps: list[float]) -> None:
    """Print a line for the network as trained, and one for each way to cut it."""
    images, labels = tensors("train")
    judged = {"held out": (images[55_000:], labels[55_000:]), "test": tensors("t10k")}
    module = trained(name, seed, images[:TRAINED], labels[:TRAINED])

    def say(what: str, cut: nn.Module, **more: float) -> None:
        told = {part: accuracy(cut, *given) for part, given in judged.items()}
        print(json.dumps({"network": name, "seed": seed, "what": what, **more, **told}), flush=True)

    say("whole", module)
    rows = torch.randperm(TRAINED, generator=torch.Generator().manual_seed(seed))[:PLANNED]
    given = images[rows]
    for keep in keeps:
        for what, settings in SETTINGS.items():
            started = time.perf_counter()
            cut = penjing.shrink(
                module, example=given[:2], data=[*given.split(64)], keep=keep, settings={"multiple": 1, **settings},
                measure=False,
            ).module  # fmt: skip
            if cut is None:
                raise TypeError("a module gives a module")
            say(what, cut, keep=keep, seconds=round(time.perf_counter() - started, 2))


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default=",".join(NETS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--keep", default="0.75,0.5")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for seed in map(int, asked.seeds.split(",")):
        for name in asked.networks.split(","):
            results(name, seed, [float(k) for k in asked.keep.split(",")])


if __name__ == "__main__":
    main()
