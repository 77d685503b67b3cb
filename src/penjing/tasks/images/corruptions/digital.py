"""Digital damage: contrast, colour, warping, coarse pixels, compression. Images are [b c h w] float32 from 0 to 1."""

from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from penjing.errors import MissingExtraError
from penjing.tasks.images.corruptions.draw import Draw
from penjing.tasks.images.corruptions.filters import box, gaussian, places, sampled


def contrast(x: Tensor, draw: Draw, share: float) -> Tensor:
    """Only a `share` of each channel's distance from its mean is kept."""
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * share + mean


def saturate(x: Tensor, draw: Draw, factor: float, more: float) -> Tensor:
    """Saturation times `factor` plus `more`, hue and value kept. Grey pixels have hue 0, red; grey images stay."""
    if x.shape[1] == 1:
        return x
    value = x.amax(1, keepdim=True)
    spread = value - x.amin(1, keepdim=True)
    before = spread / value.clamp_min(1e-6)
    after = (before * factor + more).clamp(0, 1)
    coloured = value - (value - x) * after / before.clamp_min(1e-6)
    red = torch.cat([value, value * (1 - after), value * (1 - after)], dim=1)
    return torch.where(spread > 0, coloured, red)


def elastic_transform(x: Tensor, draw: Draw, strength: float, smooth: float, jitter: float) -> Tensor:
    """`x` sheared by moving three corners by up to `jitter` pixels, then stretched by a smooth field of shifts."""
    h, w = x.shape[2:]
    rows, columns = places(h, w)
    middle, arm = torch.tensor([w // 2, h // 2], dtype=torch.float64), min(h, w) // 3
    corners = middle + arm * torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    moved = corners + draw.between(-jitter, jitter, 3, 2)
    ones = torch.ones(len(x), 3, 1, dtype=torch.float64)
    # The map from where a pixel goes back to where it comes from: [b 3 2], rows x, y, 1.
    back = torch.linalg.solve(torch.cat([moved, ones], dim=2), corners.expand(len(x), -1, -1))[..., None, None]
    across = back[:, 0, 0] * columns + back[:, 1, 0] * rows + back[:, 2, 0]
    down = back[:, 0, 1] * columns + back[:, 1, 1] * rows + back[:, 2, 1]
    sheared = sampled(x, down, across, "mirror101")
    if not strength:
        return sheared
    shift = strength * gaussian(draw.between(-1, 1, 2, h, w).float(), smooth, truncate=3.0, edge="mirror")
    return sampled(sheared, rows + shift[:, 1], columns + shift[:, 0], "mirror101")


def pixelate(x: Tensor, draw: Draw, share: float) -> Tensor:
    """`x` brought to a `share` of its size and back."""
    h, w = x.shape[2:]
    small = max(1, int(h * share)), max(1, int(w * share))
    down, across = box(small[0], h) @ box(h, small[0]), box(small[1], w) @ box(w, small[1])
    return down @ x @ across.T


def jpeg_compression(x: Tensor, draw: Draw, quality: float) -> Tensor:
    """`x` through a JPEG file of this `quality`.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pillow", "images", "the corruption 'jpeg_compression'") from None
    out = []
    for image in (x * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy():
        held = BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(held, "JPEG", quality=round(quality))
        with Image.open(held) as packed:
            out.append(torch.from_numpy(np.array(packed)).view(image.shape))
    return torch.stack(out).permute(0, 3, 1, 2).float() / 255
