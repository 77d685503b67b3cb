"""How often a vision model is right, and whether it knows how sure it may be."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.data.images import Images
from penjing.tasks.images import reliability
from penjing.tasks.images.forward import all_scores, protocol_of
from penjing.tasks.images.preparation import Preparation, preparation
from penjing.tasks.task import Examined, Progress

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ImageAccuracy:
    """Top-1 and top-5, loss, Brier score, calibration errors and temperature of a classifier of images.

    `prepare` None takes the model's own image processor. `outputs` names, for each label, the model's outputs that
    stand for it. The temperature is fitted on a share `validation` of the images, and judged on the others.
    """

    images: Images
    prepare: Preparation | None = None
    outputs: tuple[tuple[int, ...], ...] = ()
    validation: float = 0.2
    bins: int = reliability.BINS
    draws: int = reliability.DRAWS
    seed: int = 0
    batch: int = 32
    name: str = "image_accuracy"

    def key(self) -> str:
        """Data and settings; not the batch, which changes no figure beyond rounding."""
        how = self.prepare.key() if self.prepare else "prepare=own"
        options = f"bins={self.bins} validation={self.validation:g} draws={self.draws} seed={self.seed}"
        return f"{self.name}/{VERSION} {how} {options} {protocol_of(self.images, self.outputs)}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """Accuracy first, the others as `name:what`.

        Raises:
            MeasureError: the model is no classifier of these classes, or how it wants images is not known.
            DataError: an image cannot be read.
        """
        prepare = preparation(model, self.prepare)
        logits = all_scores(
            model.module, self.images, prepare, outputs=self.outputs, batch=self.batch, progress=progress
        )
        protocol = f"{self.name}/{VERSION} {prepare.key()} {protocol_of(self.images, self.outputs)}"
        labels, ids = self.images.labels, self.images.ids
        return (
            top(logits, labels, ids, count=1, name=self.name, protocol=protocol),
            top(logits, labels, ids, count=5, name=f"{self.name}:top5", protocol=protocol),
            *sureness(logits, labels, ids, self, protocol),
            *scaled(logits, labels, self, protocol),
        )


def rank(logits: Tensor, labels: Tensor) -> Tensor:
    """[n]: how many classes come before the label; of equal scores the lower class number comes first."""
    own = logits.gather(1, labels[:, None])
    before = torch.arange(logits.shape[1]) < labels[:, None]
    return ((logits > own) | ((logits == own) & before)).sum(1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """[n]: the label's score less the best other one; above 0 is right."""
    others = logits.scatter(1, labels[:, None], -math.inf)
    return logits.gather(1, labels[:, None])[:, 0] - others.max(1).values


def top(
    logits: Tensor, labels: Tensor, ids: tuple[str, ...], *, count: int, name: str, protocol: str
) -> Measurement:
    """The share of labels among the `count` highest scores, from `logits` [n c]; chance is count / classes."""
    n, classes = logits.shape
    if count > 1 and classes <= count:
        return Measurement(
            name=name, value=None, unit="share of images", better="higher", group="quality", protocol=protocol,
            note=f"there are only {classes} classes, so the label is always among {count}",
        )  # fmt: skip
    right = (rank(logits, labels) < count).long()
    value = float(right.double().mean())
    items: dict[str, Any] = {"id": list(ids), "correct": right.tolist()}
    if count == 1:
        items |= {
            "label": labels.tolist(),
            "predicted": logits.argmax(1).tolist(),
            "score": logits.softmax(1).gather(1, labels[:, None])[:, 0].tolist(),
            "margin": margins(logits, labels).tolist(),
        }
    return Measurement(
        name=name, value=value, unit="share of images", n=n, spread=_share_error(value, n),
        spread_kind="standard error", chance=count / classes, protocol=protocol, items=items,
        better="higher", group="quality", details={"classes": classes},
    )  # fmt: skip


def _share_error(value: float, n: int) -> float | None:
    return math.sqrt(value * (1 - value) / (n - 1)) if n > 1 else None


def sureness(
    logits: Tensor, labels: Tensor, ids: tuple[str, ...], how: ImageAccuracy, protocol: str
) -> tuple[Measurement, ...]:
    """Loss, Brier score and four calibration errors, all lower is better."""
    probabilities = logits.softmax(1)
    confidence, correct = reliability.confidences(probabilities, labels)
    wide = reliability.equal_width(confidence, correct, how.bins)
    even = reliability.equal_mass(confidence, correct, how.bins)
    named = f"{protocol} bins={how.bins}"
    return (
        _mean(f"{how.name}:nll", reliability.nll(logits, labels), ids, "nats per image", protocol),
        _mean(f"{how.name}:brier", reliability.brier(probabilities, labels), ids, "squared probability", protocol),
        _drawn(f"{how.name}:ece", wide, how, f"{named} equal-width"),
        _drawn(f"{how.name}:ece_adaptive", even, how, f"{named} equal-mass"),
        _plain(f"{how.name}:ece_max", wide.worst(), len(ids), f"{named} equal-width"),
        _plain(
            f"{how.name}:ece_classwise",
            reliability.classwise_ece(probabilities, labels, how.bins),
            len(ids),
            f"{named} equal-width",
        ),
    )


def _mean(name: str, values: Tensor, ids: tuple[str, ...], unit: str, protocol: str) -> Measurement:
    n = len(values)
    return Measurement(
        name=name, value=float(values.mean()), unit=unit, n=n,
        spread=float(values.std()) / math.sqrt(n) if n > 1 else None, spread_kind="standard error",
        protocol=protocol, items={"id": list(ids), "loss": values.tolist()}, better="lower", group="quality",
    )  # fmt: skip


def _drawn(name: str, bins: reliability.Bins, how: ImageAccuracy, protocol: str) -> Measurement:
    n, details = len(bins.gap), {"bins": bins.columns()}
    plain = replace(_plain(name, bins.ece(), n, protocol), details=details)
    if n < 2:
        return plain
    drawn = bins.interval(seed=how.seed, draws=how.draws)
    low, high = drawn.interval()
    return replace(
        plain, spread=float(drawn.draws.std()), spread_kind="standard error, bootstrap over images",
        details={**details, "interval": {"low": low, "high": high, "level": 0.95}},
    )  # fmt: skip


def _plain(name: str, value: float, n: int, protocol: str) -> Measurement:
    return Measurement(
        name=name, value=value, unit="probability", n=n, protocol=protocol, better="lower", group="quality"
    )


def scaled(logits: Tensor, labels: Tensor, how: ImageAccuracy, protocol: str) -> tuple[Measurement, ...]:
    """The temperature fitted on one part of the images, with loss and ECE of the other part before and after."""
    name, n = f"{how.name}:temperature", len(labels)
    count = round(n * how.validation)
    said = f"{protocol} validation={how.validation:g} seed={how.seed}"
    if count < 2 or n - count < 2:
        note = f"{n} images are too few to fit on {how.validation:g} of them and judge on the rest"
        return (Measurement(name=name, value=None, unit="temperature", protocol=said, note=note),)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(how.seed))
    fit, rest = order[:count], order[count:]
    found = reliability.temperature(logits[fit], labels[fit])
    details: dict[str, Any] = {"fitted_on": count}
    for when, by in (("before", 1.0), ("after", found)):
        judged = logits[rest] / by
        confidence, correct = reliability.confidences(judged.softmax(1), labels[rest])
        details[f"ece_{when}"] = reliability.equal_width(confidence, correct, how.bins).ece()
        details[f"nll_{when}"] = float(reliability.nll(judged, labels[rest]).mean())
    return (Measurement(name=name, value=found, unit="temperature", n=n - count, protocol=said, details=details),)
