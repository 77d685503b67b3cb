"""Images that are a little other than those in the data: moved, mirrored, mixed, with parts left out.

Every function takes images [n c h w], which are normalised, and a generator; the same draw gives the same images.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def crop(images: Tensor, margin: int, draw: torch.Generator) -> Tensor:
    """Each image moved by up to `margin` pixels up, down and aside; what comes in is 0, the mean.

    Source: He et al., arXiv:1512.03385, section 4.2: a random cut of an image with a margin of zeros.
    """
    n, c, h, w = images.shape
    wide = F.pad(images, (margin,) * 4)
    top, left = (torch.randint(2 * margin + 1, (n, 1, 1, 1), generator=draw) for _ in range(2))
    rows = (top + torch.arange(h).view(1, 1, h, 1)).expand(n, c, h, w + 2 * margin)
    columns = (left + torch.arange(w).view(1, 1, 1, w)).expand(n, c, h, w)
    return wide.gather(2, rows.to(images.device)).gather(3, columns.to(images.device))


def flip(images: Tensor, draw: torch.Generator, *, share: float = 0.5) -> Tensor:
    """This share of the images mirrored, left and right."""
    turned = (torch.rand(len(images), 1, 1, 1, generator=draw) < share).to(images.device)
    return torch.where(turned, images.flip(3), images)


def erase(images: Tensor, draw: torch.Generator, *, share: float) -> Tensor:
    """This share of the images with a rectangle of noise: of 2 to 33 % of the area, up to 3.3 times as long as wide.

    Source: Zhong et al., "Random Erasing Data Augmentation", arXiv:1708.04896, algorithm 1. Deviations: the noise is
    normal, as the images are normalised; a rectangle that is too long is cut at the image's size, not drawn again.
    """
    n, _, h, w = images.shape
    out = images.clone()
    for i in range(n):
        drawn = torch.rand(5, generator=draw).tolist()
        if drawn[0] >= share:
            continue
        area = (0.02 + (1 / 3 - 0.02) * drawn[1]) * h * w
        ratio = math.exp((2 * drawn[2] - 1) * math.log(3.3))
        tall = min(h, max(1, round((area * ratio) ** 0.5)))
        wide = min(w, max(1, round((area / ratio) ** 0.5)))
        top, left = int(drawn[3] * (h - tall + 1)), int(drawn[4] * (w - wide + 1))
        part = out[i, :, top : top + tall, left : left + wide]
        part.copy_(torch.randn(part.shape, generator=draw))
    return out


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Images that have two labels each: their own, with weight `own`, and those of the images at `others` [n]."""

    images: Tensor
    others: Tensor
    own: float


def mixup(images: Tensor, alpha: float, draw: torch.Generator) -> Mixed:
    """Each image and another one, added with weights l and 1 - l, of which l is drawn from Beta(alpha, alpha).

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412; one l for a batch, as there.
    """
    own, others = beta(alpha, draw), torch.randperm(len(images), generator=draw)
    return Mixed(images=own * images + (1 - own) * images[others.to(images.device)], others=others, own=own)


def cutmix(images: Tensor, alpha: float, draw: torch.Generator) -> Mixed:
    """A rectangle of each image taken from another one; its area is 1 - l of the whole, l from Beta(alpha, alpha).

    Source: Yun et al., "CutMix", arXiv:1905.04899, equations 1 and 2; the weight is what is left of the area after the
    rectangle is cut at the border, as in the authors' code.
    """
    h, w = images.shape[2:]
    own, others = beta(alpha, draw), torch.randperm(len(images), generator=draw)
    side = (1 - own) ** 0.5
    middle = torch.rand(2, generator=draw).tolist()
    (top, bottom), (left, right) = (
        (max(0, int(m * s - side * s / 2)), min(s, int(m * s + side * s / 2)))
        for m, s in zip(middle, (h, w), strict=True)
    )
    out = images.clone()
    out[:, :, top:bottom, left:right] = images[others.to(images.device), :, top:bottom, left:right]
    return Mixed(images=out, others=others, own=1 - (bottom - top) * (right - left) / (h * w))


def beta(alpha: float, draw: torch.Generator) -> float:
    """A number from Beta(alpha, alpha), by the generator: torch's own distribution takes none.

    Source: Johnk 1964: of u^(1/a) and v^(1/a), whose sum is at most 1, the share of the first.
    """
    while True:
        u, v = (x ** (1 / alpha) for x in torch.rand(2, generator=draw, dtype=torch.float64).tolist())
        if 0 < u + v <= 1:
            return u / (u + v)


def views(images: Tensor, names: tuple[str, ...], *, by: int = 1) -> list[Tensor]:
    """The images themselves, and as they are seen for an average: "flip" mirrored, "shift" moved by `by` pixels."""
    out = [images]
    if "flip" in names:
        out.append(images.flip(3))
    if "shift" in names:
        h, w = images.shape[2:]
        wide = F.pad(images, (by,) * 4)
        out += [wide[:, :, y : y + h, x : x + w] for y, x in ((0, by), (2 * by, by), (by, 0), (by, 2 * by))]
    return out
