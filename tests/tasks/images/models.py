"""Small images and classifiers whose figures can be worked out by hand."""

import numpy as np
import torch
from torch import Tensor, nn

from penjing.data.images import Images, from_arrays
from penjing.tasks.images import Preparation

PLAIN = Preparation()


def images(n: int = 24, classes: int = 3, size: int = 8, channels: int = 1, seed: int = 0) -> Images:
    """Bright stripes whose place is the class, in noise: easy, but not for every image under corruption."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    pixels = rng.integers(0, 90, (n, size, size, channels))
    for i, label in enumerate(labels):
        pixels[i, :, label :: classes + 1] += rng.integers(40, 160)
    return from_arrays(pixels.clip(0, 255).astype(np.uint8), labels, source="stripes")


class Net(nn.Module):
    """Pixels to features by one fixed random layer, then a last linear layer: [b c h w] to [b classes]."""

    def __init__(self, classes: int = 3, size: int = 8, channels: int = 1, width: int = 11, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(classes)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(size * size * channels, width), nn.ReLU())
        self.head = nn.Linear(width, classes, bias=bias)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.head(self.body(pixel_values))


def stripes(prepared: Tensor) -> Tensor:
    """[b 3]: the mean brightness of each class's columns: the right answer for clean `images`."""
    return torch.stack([prepared[:, :, :, c::4].mean((1, 2, 3)) for c in range(3)], dim=1) * 10
