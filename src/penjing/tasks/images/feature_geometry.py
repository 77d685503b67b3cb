"""Angle, length and margin of a classifier's last features, on clean images and under corruptions."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.core.report import Better
from penjing.data.images import Images
from penjing.errors import MeasureError, nearest
from penjing.tasks.images.corrupted_images import CorruptedImages
from penjing.tasks.images.forward import evaluating, protocol_of, scores
from penjing.tasks.images.geometry import Geometry, geometry, last_linear
from penjing.tasks.images.preparation import Preparation, preparation
from penjing.tasks.task import Examined, Progress

VERSION = 1
CLEAN = ""


@dataclass(frozen=True, kw_only=True)
class FeatureGeometry:
    """Mean angle, length, margin and relative margin; with `kinds`, also under each corruption and severity.

    `layer` None finds the linear layer whose output is the scores. Compare angles and lengths of models with the same
    head only; the relative margin is free of scale.
    """

    images: Images
    kinds: tuple[str, ...] = ()
    severities: tuple[int, ...] = (3,)
    layer: str | None = None
    prepare: Preparation | None = None
    seed: int = 0
    batch: int = 32
    name: str = "feature_geometry"
    made: CorruptedImages | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        made = CorruptedImages(self.images, self.kinds, self.severities, seed=self.seed) if self.kinds else None
        object.__setattr__(self, "made", made)

    def key(self) -> str:
        """Data and settings."""
        how = self.prepare.key() if self.prepare else "prepare=own"
        made = f" {self.made.key()}" if self.made else ""
        return f"{self.name}/{VERSION} {how} layer={self.layer or 'found'}{made} {protocol_of(self.images)}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The mean relative margin first, then `name:angle`, `name:length` and `name:margin`, of clean images.

        `details["corrupted"]` has the same means and the accuracy for each corruption and severity, and items the
        corrupted margins as `kind/severity`.

        Raises:
            MeasureError: no layer gives the scores, or the model is no classifier of these classes.
            DataError: an image cannot be read.
        """
        prepare = preparation(model, self.prepare)
        module = model.module
        if not isinstance(module, nn.Module):
            raise MeasureError(f"{model.name} is a {type(module).__name__}, needed a torch module to look inside")
        with evaluating(module):
            example = prepare(self.images.pixels[torch.arange(min(2, len(self.images)))])
            name, layer = _layer(module, example, self.layer)
            found = {CLEAN: self._clean(module, layer, prepare)}
            cells = self.made.cells if self.made else ()
            for i, (kind, severity) in enumerate(cells):
                assert self.made is not None  # noqa: S101 - there are cells
                parts = list(self.made.batches(kind, severity, batch=self.batch))
                seen = torch.cat([_seen(module, layer, prepare(pixels)) for _, pixels in parts])
                found[f"{kind}/{severity}"] = self._of(seen, layer)
                if progress:
                    progress((i + 2) * len(self.images), (len(cells) + 1) * len(self.images))
        pixels = f" {self.made.key()} pixels=sha256:{self.made.digest()}" if self.made else ""
        protocol = f"{self.name}/{VERSION} {prepare.key()} layer={name}{pixels} {protocol_of(self.images)}"
        return _figures(found, self, layer, protocol)

    def _clean(self, module: nn.Module, layer: nn.Linear, prepare: Preparation) -> Geometry:
        places = torch.arange(len(self.images)).split(self.batch)
        return self._of(torch.cat([_seen(module, layer, prepare(self.images.pixels[p])) for p in places]), layer)

    def _of(self, seen: Tensor, layer: nn.Linear) -> Geometry:
        bias = None if layer.bias is None else layer.bias.detach().cpu()
        return geometry(seen, layer.weight.detach().cpu(), bias, self.images.labels)


def _layer(module: nn.Module, example: Tensor, named: str | None) -> tuple[str, nn.Linear]:
    if named is None:
        parameter = next(module.parameters(), None)
        return last_linear(module, example if parameter is None else example.to(parameter.device, parameter.dtype))
    layers = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    if named not in layers:
        raise MeasureError(f"the model has no linear layer '{named}'{nearest(named, layers)}")
    return named, layers[named]


@contextmanager
def _watching(layer: nn.Linear) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []

    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].float().cpu())

    handle = layer.register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _seen(module: nn.Module, layer: nn.Linear, prepared: Tensor) -> Tensor:
    """[b f]: what goes into the layer."""
    with _watching(layer) as seen:
        scores(module, prepared)
    if len(seen) != 1 or seen[0].ndim != 2 or len(seen[0]) != len(prepared):
        shapes = ", ".join(str(list(s.shape)) for s in seen) or "nothing"
        raise MeasureError(f"the layer got {shapes} for {len(prepared)} images; needed one row of features for each")
    return seen[0]


def _means(found: Geometry) -> dict[str, Any]:
    whole = found.margin.isfinite()
    return {
        "accuracy": float(found.correct.double().mean()),
        "angle": float(found.angle.mean()),
        "length": float(found.length.mean()),
        "margin": float(found.margin[whole].mean()) if bool(whole.any()) else None,
        "relative_margin": float(found.relative[whole].mean()) if bool(whole.any()) else None,
        "dead": found.dead,
    }


def _figures(
    found: dict[str, Geometry], task: FeatureGeometry, layer: nn.Linear, protocol: str
) -> tuple[Measurement, ...]:
    clean, ids = found[CLEAN], list(task.images.ids)
    corrupted = {cell: _means(g) for cell, g in found.items() if cell != CLEAN}
    notes = [f"{clean.dead} images have features of length 0: angle 90"] if clean.dead else []
    extra = {cell: g.margin.tolist() for cell, g in found.items() if cell != CLEAN}
    details = {"corrupted": corrupted, "dead": clean.dead, "bias": layer.bias is not None}
    out = []
    rows: tuple[tuple[str, str, Tensor, Better], ...] = (
        ("", "margin per length", clean.relative, "higher"),
        (":angle", "degrees", clean.angle, "lower"),
        (":length", "length of features", clean.length, ""),
        (":margin", "distance of features", clean.margin, ""),
    )
    for what, unit, values, better in rows:
        whole = values[values.isfinite()]
        left_out = len(values) - len(whole)
        note = [*notes, *([f"{left_out} images have no boundary and are left out"] if left_out else [])]
        out.append(
            Measurement(
                name=f"{task.name}{what}", value=float(whole.mean()) if len(whole) else None, unit=unit, n=len(whole),
                spread=float(whole.std()) / math.sqrt(len(whole)) if len(whole) > 1 else None,
                spread_kind="standard error", protocol=protocol, note="; ".join(note),
                items={"id": ids, "score": values.tolist(), "rival": clean.rival.tolist(), **({} if what else extra)},
                better=better, group="quality" if better else "other", details={} if what else details,
            )
        )  # fmt: skip
    return tuple(out)
