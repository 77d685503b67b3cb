"""Smoothing, sampling and fields that the corruptions are made of; images are [b c h w] float32."""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from penjing.tasks.images.corruptions.draw import Draw

Edge = Literal["nearest", "mirror", "mirror101"]


def folded(places: Tensor, length: int, edge: Edge) -> Tensor:
    """Places outside 0 to `length` - 1 brought inside: to the edge, or mirrored (101: without repeating the edge)."""
    if edge == "nearest" or length == 1:
        return places.clamp(0, length - 1)
    period = 2 * length if edge == "mirror" else 2 * length - 2
    within = places.remainder(period)
    return torch.where(within < length, within, period - within - (1 if edge == "mirror" else 0))


@lru_cache(maxsize=64)
def smoothing(length: int, sigma: float, truncate: float, edge: Edge) -> Tensor:
    """[length length]: the matrix that smooths a line of pixels by a Gaussian cut at `truncate` sigmas."""
    radius = int(truncate * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2) if radius else torch.ones(1, dtype=torch.float64)
    weights = weights / weights.sum()
    columns = folded(torch.arange(length)[:, None] + offsets, length, edge)
    out = torch.zeros(length, length, dtype=torch.float64)
    return out.scatter_add_(1, columns, weights.expand(length, -1)).float()


def gaussian(x: Tensor, sigma: float, *, truncate: float = 4.0, edge: Edge = "nearest") -> Tensor:
    """`x` smoothed along height and width; sigma 0 gives it back."""
    if sigma <= 0:
        return x
    down = smoothing(x.shape[-2], sigma, truncate, edge)
    across = smoothing(x.shape[-1], sigma, truncate, edge)
    return down @ x @ across.T


def padded(x: Tensor, width: int, edge: Edge) -> Tensor:
    """`x` with `width` more pixels on each side."""
    rows = folded(torch.arange(-width, x.shape[-2] + width), x.shape[-2], edge)
    columns = folded(torch.arange(-width, x.shape[-1] + width), x.shape[-1], edge)
    return x[..., rows, :][..., columns]


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """`x` under a square `kernel` [k k], the same for all channels; edges are mirrored without repeating."""
    b, c, h, w = x.shape
    wide = padded(x, kernel.shape[0] // 2, "mirror101").reshape(b * c, 1, h + len(kernel) - 1, w + len(kernel) - 1)
    return F.conv2d(wide, kernel[None, None].to(x)).view(b, c, h, w)


def disk(radius: float, alias: float) -> Tensor:
    """[k k] that sums to 1: a disk of a radius in pixels, its rim smoothed by `alias` pixels."""
    reach = math.floor(radius) + 2
    line = torch.arange(-reach, reach + 1, dtype=torch.float64)
    flat = (line[:, None] ** 2 + line**2 <= radius**2).float()
    width = 1 if radius <= 8 else 2
    taps = torch.exp(-0.5 * (torch.arange(-width, width + 1) / alias) ** 2) if alias else torch.eye(3)[1]
    rim = torch.outer(taps, taps) / taps.sum() ** 2
    kernel = F.conv2d((flat / flat.sum())[None, None], rim[None, None], padding=len(rim) // 2)[0, 0]
    return kernel / kernel.sum()


def along(x: Tensor, radius: float, sigma: float, degrees: Tensor) -> Tensor:
    """Each image dragged along its own direction, `degrees` [b]: a one-sided Gaussian of `sigma` pixels.

    Source: ImageMagick's motion blur: 2 ceil(radius) + 1 taps at whole pixels. Taps of weight below 1e-4 are left out.
    """
    taps = torch.arange(2 * math.ceil(radius) + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (taps / sigma) ** 2) if sigma > 0 else (taps == 0).double()
    taps, weights = taps[weights > 1e-4], weights[weights > 1e-4]
    weights = (weights / weights.sum()).tolist()
    reach = int(taps.max())
    wide = padded(x, reach, "nearest")
    turned = degrees.double().deg2rad()
    across = (taps * turned.cos()[:, None]).round().long() + reach
    down = (taps * turned.sin()[:, None]).round().long() + reach
    out = torch.zeros_like(x)
    h, w = x.shape[-2:]
    for i, (rights, lefts) in enumerate(zip(across.tolist(), down.tolist(), strict=True)):
        for weight, column, row in zip(weights, rights, lefts, strict=True):
            out[i].add_(wide[i, :, row : row + h, column : column + w], alpha=weight)
    return out


def sampled(x: Tensor, rows: Tensor, columns: Tensor, edge: Literal["nearest", "mirror101"]) -> Tensor:
    """`x` read at fractional `rows` and `columns` [b h w], between pixels by straight lines."""
    h, w = x.shape[-2:]
    grid = torch.stack([2 * columns / max(1, w - 1) - 1, 2 * rows / max(1, h - 1) - 1], dim=-1).to(x)
    mode = "border" if edge == "nearest" else "reflection"
    return F.grid_sample(x, grid.expand(len(x), -1, -1, -1), mode="bilinear", padding_mode=mode, align_corners=True)


def places(height: int, width: int) -> tuple[Tensor, Tensor]:
    """([1 h 1], [1 1 w]) float64: the row and the column of each pixel."""
    rows, columns = torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64)
    return rows[None, :, None], columns[None, None, :]


def zoomed(x: Tensor, factor: float) -> Tensor:
    """The middle of `x`, `factor` times as large, cut to the same size."""
    h, w = x.shape[-2:]
    rows, columns = places(h, w)
    down = ((h - 1) / 2 + (rows - (h - 1) / 2) / factor).expand(1, h, w)
    across = ((w - 1) / 2 + (columns - (w - 1) / 2) / factor).expand(1, h, w)
    return sampled(x, down, across, "nearest")


@lru_cache(maxsize=64)
def box(source: int, target: int) -> Tensor:
    """[target source]: means of the pixels whose centres lie in each target pixel; the nearest one when enlarging."""
    scale = source / target
    centres = (torch.arange(target, dtype=torch.float64)[:, None] + 0.5) * scale
    distance = torch.arange(source, dtype=torch.float64) + 0.5 - centres
    half = max(scale, 1.0) / 2
    inside = ((distance > -half) & (distance <= half)).float()
    return inside / inside.sum(1, keepdim=True)


def plasma(draw: Draw, height: int, width: int, decay: float) -> Tensor:
    """[b 1 h w] from 0 to 1: cloud-like fields by the diamond-square algorithm; a larger `decay` is smoother."""
    side = 1 << max(1, (max(height, width) - 1).bit_length())
    field = torch.zeros(draw.images, side, side, dtype=torch.float64)
    step, wobble = side, 100.0
    while step >= 2:
        half, count = step // 2, side // step

        def mean(total: Tensor, count: int = count, wobble: float = wobble) -> Tensor:
            return total / 4 + wobble * draw.between(-wobble, wobble, count, count)

        corners = field[:, ::step, ::step]
        total = corners + corners.roll(-1, 1)
        field[:, half::step, half::step] = mean(total + total.roll(-1, 2))
        centres, corners = field[:, half::step, half::step], field[:, ::step, ::step]
        field[:, ::step, half::step] = mean(centres + centres.roll(1, 1) + corners + corners.roll(-1, 2))
        field[:, half::step, ::step] = mean(centres + centres.roll(1, 2) + corners + corners.roll(-1, 1))
        step, wobble = half, wobble / decay
    field = field - field.amin((1, 2), keepdim=True)
    return (field / field.amax((1, 2), keepdim=True))[:, None, :height, :width].float()
