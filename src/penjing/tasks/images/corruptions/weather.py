"""Weather: snow, frost, fog, light and drops. Images are [b c h w] float32 from 0 to 1."""

import torch
from torch import Tensor

from penjing.tasks.images.corruptions.draw import Draw
from penjing.tasks.images.corruptions.filters import along, convolved, gaussian, plasma, zoomed

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_ICE = torch.tensor([0.86, 0.94, 1.0])
_WATER = torch.tensor([175, 238, 238]) / 255
_MUD = torch.tensor([63, 42, 20]) / 255
_EMBOSS = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])


def grey(x: Tensor) -> Tensor:
    """[b 1 h w]: the luminance of `x`."""
    return x if x.shape[1] == 1 else (x * _LUMA.view(1, 3, 1, 1)).sum(1, keepdim=True)


def tinted(colour: Tensor, channels: int) -> Tensor:
    """[1 channels 1 1]: a colour, or its luminance for grey images."""
    return (colour if channels == 3 else (colour * _LUMA).sum()[None]).view(1, channels, 1, 1)


def snow(x: Tensor, draw: Draw, *constants: float) -> Tensor:
    """`x` whitened, with flakes that fall towards -135 to -45 degrees.

    The constants: mean and deviation of the noise that flakes are made of, its enlargement, the threshold for a flake,
    radius and sigma of its trace, and the share of `x` that stays unwhitened.
    """
    mean, deviation, larger, threshold, radius, sigma, share = constants
    layer = zoomed(mean + deviation * draw.normal(1, *x.shape[2:]), larger)
    layer = torch.where(layer < threshold, 0.0, layer).clamp(0, 1)
    layer = along(layer, radius, sigma, draw.between(-135, -45))
    white = torch.maximum(x, grey(x) * 1.5 + 0.5)
    return share * x + (1 - share) * white + layer + layer.flip(2, 3)


def frost(x: Tensor, draw: Draw, image: float, ice: float) -> Tensor:
    """`image` times `x` plus `ice` times a pattern of ice.

    Deviation: the published data overlay photographs of frost; ours are procedural, so figures are marked `frost*`.
    """
    h, w = x.shape[2:]
    ridges = [1 - (2 * plasma(draw, h, w, decay) - 1).abs() for decay in (1.9, 1.4)]
    cover = plasma(draw, h, w, 1.8)
    needles = (ridges[0] ** 3 * 0.6 + ridges[1] ** 4 * 0.4).clamp(0, 1)
    pattern = (0.25 + 0.3 * cover + 0.6 * needles * (0.4 + cover)).clamp(0, 1)
    return image * x + ice * pattern * tinted(_ICE, x.shape[1])


def fog(x: Tensor, draw: Draw, amount: float, decay: float) -> Tensor:
    """`x` behind a cloud of strength `amount`; a larger `decay` makes it smoother."""
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + amount * plasma(draw, x.shape[2], x.shape[3], decay)) * brightest / (brightest + amount)


def brightness(x: Tensor, draw: Draw, more: float) -> Tensor:
    """`x` with `more` added to the value of each pixel's hue, saturation and value."""
    value = x.amax(1, keepdim=True)
    raised = (value + more).clamp(0, 1)
    return torch.where(value > 0, x * raised / value.clamp_min(1e-6), raised)


def spatter(x: Tensor, draw: Draw, *constants: float) -> Tensor:
    """`x` with drops of water, or of mud.

    The constants: mean and deviation of the noise that drops are made of, its smoothing in pixels, the threshold for a
    drop, the strength of water (or the smoothing of mud), and 1 for mud.
    Deviation: the light on water drops is an embossed drop here, an edge detector's distance field in the published
    data, so figures are marked `spatter*`. Mud is as published.
    """
    mean, deviation, smooth, threshold, strength, muddy = constants
    layer = gaussian(mean + deviation * draw.normal(1, *x.shape[2:]), smooth)
    drops = (layer >= threshold).to(x)
    if round(muddy):
        mud = gaussian(drops, strength)
        mud = torch.where(mud < 0.8, 0.0, mud)
        return x * (1 - mud) + mud * tinted(_MUD, x.shape[1])
    light = convolved(gaussian(drops, max(0.5, smooth / 2)), _EMBOSS).clamp_min(0) * layer * drops
    light = light / light.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)
    return x + strength * light * tinted(_WATER, x.shape[1])
