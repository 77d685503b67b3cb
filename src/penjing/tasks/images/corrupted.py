"""How often a vision model is right under common corruptions, and how much worse it is than another.

Source: Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261 (mCE, relative mCE; their reference is AlexNet on
ImageNet, here it is any figure given, such as the original model's).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.data.images import Images
from penjing.errors import MeasureError
from penjing.maths.bootstrap import bootstrap
from penjing.tasks.images.corrupted_images import CorruptedImages
from penjing.tasks.images.corruptions import COMMON, SEVERITIES, label
from penjing.tasks.images.forward import all_scores, evaluating, grouped, protocol_of, scores
from penjing.tasks.images.preparation import Preparation, preparation
from penjing.tasks.task import Examined, Progress

VERSION = 1
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """Mean accuracy over corruptions and severities, and each cell's.

    One instance makes the corrupted pixels once for all models it is run on; their hash is in the protocol.
    """

    images: Images
    kinds: tuple[str, ...] = COMMON
    severities: tuple[int, ...] = SEVERITIES
    prepare: Preparation | None = None
    outputs: tuple[tuple[int, ...], ...] = ()
    seed: int = 0
    batch: int = 32
    name: str = "corruption_accuracy"
    made: CorruptedImages = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        made = CorruptedImages(self.images, self.kinds, self.severities, seed=self.seed)
        object.__setattr__(self, "made", made)

    def key(self) -> str:
        """Data and settings."""
        how = self.prepare.key() if self.prepare else "prepare=own"
        return f"{self.name}/{VERSION} {how} {self.made.key()} {protocol_of(self.images, self.outputs)}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The mean corruption accuracy with `details["grid"]`, and the accuracy without corruption as `name:clean`.

        Raises:
            MeasureError: the model is no classifier of these classes, or how it wants images is not known.
            DataError: an image cannot be read.
            MissingExtraError: JPEG compression is among the kinds and Pillow is not installed.
        """
        prepare = preparation(model, self.prepare)
        n, cells = len(self.images), self.made.cells
        total = n * (len(cells) + 1)
        clean = all_scores(
            model.module, self.images, prepare, outputs=self.outputs, batch=self.batch,
            progress=(lambda done, _: progress(done, total)) if progress else None,
        )  # fmt: skip
        labels = self.images.labels
        right = torch.zeros(n, len(cells), dtype=torch.bool)
        with evaluating(model.module):
            for i, cell in enumerate(cells):
                for places, pixels in self.made.batches(*cell, batch=self.batch):
                    found = grouped(scores(model.module, prepare(pixels)), self.outputs, self.images.classes)
                    right[places, i] = found.argmax(1) == labels[places]
                    if progress:
                        progress((i + 1) * n + int(places[-1]) + 1, total)
        pixels_hash = self.made.digest()
        protocol = (
            f"{self.name}/{VERSION} {prepare.key()} {self.made.key()} pixels=sha256:{pixels_hash} "
            f"{protocol_of(self.images, self.outputs)}"
        )
        return figures(right, clean.argmax(1) == labels, self, clean.shape[1], protocol)


def figures(
    right: Tensor, clean: Tensor, task: Corrupted, classes: int, protocol: str
) -> tuple[Measurement, ...]:
    """From `right` [n cells] and `clean` [n]: the mean over cells with its grid, and the clean accuracy.

    Cells of one image are not independent: the standard error is that of the images' means.
    """
    n, cells = right.shape
    each = right.double().mean(1)
    grid = right.double().mean(0).view(len(task.kinds), len(task.severities))
    columns = {f"{k}/{s}": right[:, i].long().tolist() for i, (k, s) in enumerate(task.made.cells)}
    ids = list(task.images.ids)
    accuracy = float(clean.double().mean())
    shared: dict[str, Any] = {
        "unit": "share of images", "n": n, "chance": 1 / classes, "protocol": protocol, "better": "higher",
        "group": "quality",
    }  # fmt: skip
    main = Measurement(
        name=task.name, value=float(each.mean()), spread=_error(each), spread_kind="standard error, over images",
        items={"id": ids, "score": each.tolist(), "clean": clean.long().tolist(), **columns},
        details={
            "clean": accuracy,
            "grid": {
                "names": [label(k) for k in task.kinds],
                "severities": list(task.severities),
                "values": grid.tolist(),
            },
            "kinds": list(task.kinds),
            "cells": cells,
        },
        note="* our own textures, not the published ones" if any(label(k) != k for k in task.kinds) else "",
        **shared,
    )  # fmt: skip
    plain = Measurement(
        name=f"{task.name}:clean", value=accuracy, spread=_error(clean.double()), spread_kind="standard error",
        items={"id": ids, "correct": clean.long().tolist()}, **shared,
    )  # fmt: skip
    return main, plain


def _error(values: Tensor) -> float | None:
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else None


def mean_corruption_error(figure: Measurement, reference: Measurement, *, seed: int = 0) -> Measurement:
    """mCE: the mean over corruptions of the model's errors, summed over severities, as a share of the reference's.

    Below 1 is better than the reference. The interval is over images, both models on the same.

    Raises:
        MeasureError: the two are not of the same corrupted images.
    """
    return _over_reference("mce", figure, reference, relative=False, seed=seed)


def relative_corruption_error(figure: Measurement, reference: Measurement, *, seed: int = 0) -> Measurement:
    """Relative mCE: as mCE, of what corruption adds to each model's error without it.

    Raises:
        MeasureError: the two are not of the same corrupted images.
    """
    return _over_reference("relative_mce", figure, reference, relative=True, seed=seed)


def _over_reference(
    name: str, figure: Measurement, reference: Measurement, *, relative: bool, seed: int
) -> Measurement:
    if _of(figure) != _of(reference) or figure.items.get("id") != reference.items.get("id"):
        raise MeasureError(
            f"'{figure.name}' was measured as '{figure.protocol}', the reference as '{reference.protocol}'; measure "
            "both with one Corrupted task"
        )
    kinds = list(figure.details["kinds"])
    own, base = _errors(figure, relative=relative), _errors(reference, relative=relative)
    bottom = base.sum(0)
    bad = [kind for kind, value in zip(kinds, bottom.tolist(), strict=True) if value <= 0]
    bare = Measurement(
        name=name, value=None, unit="times the reference's", n=len(own), protocol=figure.protocol, better="lower",
        label="" if relative else "Mean corruption error", group="quality",
    )  # fmt: skip
    if bad:
        more = "more " if relative else ""
        note = f"the reference makes no {more}errors under {', '.join(bad)}, so there is no ratio"
        return replace(bare, note=note)
    count = len(kinds)

    def ratio(totals: Tensor) -> Tensor:
        # A draw in which the reference makes no error counts one, or the ratio would be undefined.
        return (totals[..., :count] / totals[..., count:].clamp_min(1.0)).mean(-1)

    each = (own.sum(0) / bottom).tolist()
    details: dict[str, Any] = {"each": dict(zip(kinds, each, strict=True))}
    value = sum(each) / count
    if len(own) < 2 or bool((bottom < 1).any()):
        return replace(bare, value=value, details=details)
    generator = torch.Generator().manual_seed(seed)
    drawn = bootstrap(torch.cat([own, base], dim=1), ratio, generator=generator, draws=DRAWS)
    low, high = drawn.interval()
    return replace(
        bare, value=value, spread=float(drawn.draws.std()), spread_kind="standard error, bootstrap over images",
        details={**details, "interval": {"low": low, "high": high, "level": 0.95}},
    )  # fmt: skip


def _of(figure: Measurement) -> tuple[Any, ...]:
    """What must agree: the pixels and the cells; models may prepare them in their own ways."""
    told = [word for word in figure.protocol.split() if word.startswith(("pixels=", "text=", "which="))]
    return (*told, tuple(figure.details.get("kinds", ())))


def _errors(figure: Measurement, *, relative: bool) -> Tensor:
    """[n kinds] float64: each image's errors summed over severities; relative: less its errors without corruption."""
    grid: Mapping[str, Any] = figure.details["grid"]
    columns = [
        torch.tensor([figure.items[f"{kind}/{s}"] for s in grid["severities"]], dtype=torch.float64)
        for kind in figure.details["kinds"]
    ]
    wrong = torch.stack([(1 - c).sum(0) for c in columns], dim=1)
    if not relative:
        return wrong
    clean = 1 - torch.tensor(figure.items["clean"], dtype=torch.float64)
    return wrong - clean[:, None] * len(grid["severities"])
