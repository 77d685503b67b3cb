"""How pixels become what a vision model takes: one stated way, the same for every model that is compared."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from penjing.errors import MeasureError
from penjing.tasks.task import Examined

Mode = Literal["nearest", "bilinear", "bicubic"]
_RESAMPLE: Mapping[int, Mode] = {0: "nearest", 2: "bilinear", 3: "bicubic"}
_KNOWN = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Resize (antialiased; one number: the shorter side), cut the middle out, scale, less `mean`, divided by `std`.

    Resized values are rounded to whole grey levels, as image libraries do. `channels` turns grey into colour (3) or
    back (1); None leaves it. Calling it turns uint8 [b h w c] into float32 [b c h w].
    """

    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    mode: Mode = "bicubic"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: int | None = None

    def key(self) -> str:
        """What is done, in one line without spaces inside its parts."""
        parts = [f"{self.mode}={_size(self.resize)}" if self.resize else ""]
        parts += [f"crop={_size(self.crop)}" if self.crop else ""]
        parts += [f"scale={self.scale:.6g}", f"mean={_numbers(self.mean)}", f"std={_numbers(self.std)}"]
        parts += [f"channels={self.channels}" if self.channels else ""]
        return "prepare=" + ",".join(p for p in parts if p)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Float32 [b c h w], from uint8 [b h w c]."""
        x = pixels.permute(0, 3, 1, 2).float()
        if self.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        elif self.channels == 1 and x.shape[1] == 3:
            x = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True).round()
        x = self._cut(self._resized(x)) * self.scale
        return (x - torch.tensor(self.mean).view(1, -1, 1, 1)) / torch.tensor(self.std).view(1, -1, 1, 1)

    def _resized(self, x: Tensor) -> Tensor:
        if self.resize is None:
            return x
        h, w = x.shape[-2:]
        target = self.resize
        if isinstance(target, int):
            target = (target, int(target * w / h)) if h <= w else (int(target * h / w), target)
        if target == (h, w):
            return x
        if self.mode == "nearest":
            return F.interpolate(x, target, mode="nearest-exact")
        return F.interpolate(x, target, mode=self.mode, align_corners=False, antialias=True).clamp(0, 255).round()

    def _cut(self, x: Tensor) -> Tensor:
        if self.crop is None:
            return x
        h, w = x.shape[-2:]
        if h < self.crop[0] or w < self.crop[1]:
            raise MeasureError(
                f"the images are {w} x {h} pixels before the cut, needed {self.crop[1]} x {self.crop[0]}; resize them "
                "first"
            )
        top, left = (h - self.crop[0]) // 2, (w - self.crop[1]) // 2
        return x[..., top : top + self.crop[0], left : left + self.crop[1]]


def _size(size: int | tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size)


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{v:.6g}" for v in values)


def preparation(model: Examined, given: Preparation | None) -> Preparation:
    """The `given` one, else that of the model's image processor, else of its folder's preprocessor_config.json.

    Raises:
        MeasureError: there is none, or it does something that is not known here.
    """
    if given is not None:
        return given
    if model.processor is not None:
        return from_processor(model.processor)
    path = model.folder / "preprocessor_config.json" if model.folder else None
    if path is None or not path.is_file():
        raise MeasureError(
            f"{model.name} has no image processor (preprocessor_config.json), so how it wants its images is not known; "
            "put the file into its folder or give a Preparation"
        )
    return from_processor(_read(path))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MeasureError(f"{path} is not JSON ({error}); fetch it again") from error
    if not isinstance(found, dict):
        raise MeasureError(f"{path} holds a {type(found).__name__}, needed an object; fetch it again")
    return found


def from_processor(processor: Any) -> Preparation:
    """The same steps as an image processor of transformers, or the mapping it is saved as.

    Raises:
        MeasureError: it does more than resize, cut, scale and normalise.
    """
    held = dict(processor) if isinstance(processor, Mapping) else dict(processor.to_dict())
    held = {**held.get("image_processor", {}), **held}
    unknown = sorted(k for k, v in held.items() if k.startswith("do_") and v and k not in _KNOWN)
    if unknown or held.get("crop_pct"):
        raise MeasureError(
            f"the image processor has {', '.join(unknown) or 'crop_pct'}, which is not known here; give a Preparation"
        )
    size = held.get("size") if held.get("do_resize") else None
    crop = held.get("crop_size") if held.get("do_center_crop") else None
    resample = held.get("resample", 3)
    if int(resample) not in _RESAMPLE:
        raise MeasureError(f"the image processor resizes by method {resample}, known are 0, 2, 3; give a Preparation")
    normal = bool(held.get("do_normalize"))
    return Preparation(
        resize=_resize(size),
        crop=None if crop is None else (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"]),
        mode=_RESAMPLE[int(resample)],
        scale=float(held.get("rescale_factor", 1 / 255)) if held.get("do_rescale") else 1.0,
        mean=tuple(held["image_mean"]) if normal else (0.0,),
        std=tuple(held["image_std"]) if normal else (1.0,),
        channels=len(held["image_mean"]) if normal and len(held["image_mean"]) in (1, 3) else None,
    )


def _resize(size: Any) -> int | tuple[int, int] | None:
    if size is None or isinstance(size, int):
        return size
    if set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"])
    if set(size) >= {"height", "width"}:
        return int(size["height"]), int(size["width"])
    raise MeasureError(f"the image processor resizes to {dict(size)}, needed shortest_edge or height and width")
