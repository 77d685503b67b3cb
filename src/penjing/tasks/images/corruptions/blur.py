"""Blur. Images are [b c h w] float32 from 0 to 1; lengths are pixels."""

import torch
from torch import Tensor

from penjing.tasks.images.corruptions.draw import Draw
from penjing.tasks.images.corruptions.filters import along, convolved, disk, gaussian, zoomed


def gaussian_blur(x: Tensor, draw: Draw, sigma: float) -> Tensor:
    """`x` smoothed by a Gaussian."""
    return gaussian(x, sigma)


def defocus_blur(x: Tensor, draw: Draw, radius: float, alias: float) -> Tensor:
    """`x` out of focus: each point a disk of `radius`, its rim smoothed by `alias`."""
    return convolved(x, disk(radius, alias))


def motion_blur(x: Tensor, draw: Draw, radius: float, sigma: float) -> Tensor:
    """`x` dragged along a direction between -45 and 45 degrees."""
    return along(x, radius, sigma, draw.between(-45, 45))


def zoom_blur(x: Tensor, draw: Draw, largest: float, count: float) -> Tensor:
    """The mean of `x` and of `count` enlargements of it from 1 to `largest`."""
    factors = torch.linspace(1, largest, max(2, round(count)), dtype=torch.float64).tolist()
    total = x.clone()
    for factor in factors:
        total += zoomed(x, factor)
    return total / (len(factors) + 1)


def glass_blur(x: Tensor, draw: Draw, sigma: float, reach: float, rounds: float) -> Tensor:
    """`x` as through frosted glass: smoothed, pixels replaced by others within `reach`, `rounds` times, smoothed.

    From the last pixel to the first, as the published data were made: their script says swap, and copies.
    """
    b, c, h, w = x.shape
    step = round(reach)
    order = torch.arange(h * w).repeat(b, 1).numpy()
    images = torch.arange(b).numpy()
    rows, columns = range(h - step, step, -1), range(w - step, step, -1)
    for _ in range(round(rounds)):
        moves = draw.whole(-step, step, len(rows), len(columns), 2).numpy()
        ends = moves[..., 0] * w + moves[..., 1]
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                here = row * w + column
                order[:, here] = order[images, here + ends[:, i, j]]
    smooth = gaussian(x, sigma).reshape(b, c, h * w)
    mixed = smooth.gather(2, torch.from_numpy(order)[:, None].expand(b, c, h * w))
    return gaussian(mixed.view(b, c, h, w), sigma)
