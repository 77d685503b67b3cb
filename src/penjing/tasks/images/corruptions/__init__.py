"""The common corruptions of images, each at five severities, made anew from a seed: the same pixels for every model.

Source: Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261. Our own code, so pixels differ from the published
CIFAR-10-C and ImageNet-C; compare figures only with figures made here.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from penjing.errors import DataError, nearest
from penjing.tasks.images.corruptions import blur, digital, noise, weather
from penjing.tasks.images.corruptions.constants import constants
from penjing.tasks.images.corruptions.draw import Draw

COMMON = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
SEVERITIES = (1, 2, 3, 4, 5)
VERSION = 1
LEAST = 4
"""Pixels of the shortest side that can be corrupted."""

_MADE: Mapping[str, Callable[..., Tensor]] = {
    kind: getattr(room, kind)
    for room in (noise, blur, weather, digital)
    for kind in (*COMMON, *EXTRA)
    if hasattr(room, kind)
}
_OUR_OWN = frozenset({"frost", "spatter"})


def label(kind: str) -> str:
    """The name for people; a star where our own texture stands for the published one."""
    return f"{kind}*" if kind in _OUR_OWN else kind


def check_kinds(kinds: Sequence[str], severities: Sequence[int]) -> None:
    """Make sure that these corruptions and severities exist.

    Raises:
        DataError: one does not.
    """
    for kind in kinds:
        if kind not in _MADE:
            raise DataError(f"no corruption is named '{kind}'{nearest(kind, _MADE)}; there are {', '.join(_MADE)}")
    wrong = [s for s in severities if s not in SEVERITIES]
    if wrong or not kinds or not severities:
        raise DataError(
            f"found {len(kinds)} corruptions at severities {', '.join(map(str, severities)) or 'none'}; needed at "
            "least one, at severities from 1 to 5"
        )


def corrupt(pixels: Tensor, kind: str, severity: int, *, ids: Sequence[str], seed: int = 0) -> Tensor:
    """uint8 [b h w c]: `pixels` uint8 [b h w c] under one corruption of `severity` 1 to 5.

    What is random follows from `seed`, the kind, the severity and the image's id alone, not from its batch.

    Raises:
        DataError: the corruption or severity is unknown, or the pixels do not fit.
        MissingExtraError: the corruption is `jpeg_compression` and Pillow is not installed.
    """
    check_kinds([kind], [severity])
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise DataError(f"the images are {pixels.dtype} {list(pixels.shape)}, needed uint8 [n h w c], 1 or 3 channels")
    if len(ids) != len(pixels):
        raise DataError(f"found {len(ids)} ids for {len(pixels)} images; needed one for each")
    side = min(pixels.shape[1:3])
    if side < LEAST:
        raise DataError(f"the images are {pixels.shape[2]} x {pixels.shape[1]} pixels, needed at least {LEAST} a side")
    if not len(pixels):
        return pixels
    draw = Draw([f"corrupt/{VERSION};{seed};{kind};{severity};{i}" for i in ids])
    clean = pixels.permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        found = _MADE[kind](clean, draw, *constants(kind, severity, side))
    return (found.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous()


__all__ = ["COMMON", "EXTRA", "SEVERITIES", "VERSION", "check_kinds", "corrupt", "label"]
