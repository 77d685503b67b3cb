"""A linear probe on the features of a model, fitted for each model on pictures that it is not judged on."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from weakref import WeakKeyDictionary

import torch
from torch import nn

from penjing.core import Measurement
from penjing.data.images import Images
from penjing.errors import DataError
from penjing.tasks.images.accuracy import ImageAccuracy
from penjing.tasks.images.corrupted import Corrupted
from penjing.tasks.images.labelled import digest
from penjing.tasks.images.preparation import Preparation, preparation
from penjing.tasks.images.probe import Probe, WithProbe, features, fit_probe
from penjing.tasks.task import Examined, Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """Labelled pictures that a linear probe is fitted on, once for each model in memory."""

    images: Images
    prepare: Preparation | None = None
    batch: int = 32
    _fitted: WeakKeyDictionary[nn.Module, Probe] = field(default_factory=WeakKeyDictionary, init=False, repr=False)

    def classifier(self, model: Examined, classes: int, progress: Progress | None = None) -> WithProbe:
        """The model's body with the probe as its head.

        Raises:
            MeasureError: the body gives no features, or how it wants images is not known.
            DataError: an image cannot be read, or a label is outside the classes.
        """
        body = getattr(model.module, "base_model", model.module)
        if body not in self._fitted:
            prepare = preparation(model, self.prepare)
            found = features(body, self.images, prepare, batch=self.batch, progress=progress)
            self._fitted[body] = fit_probe(found, self.images.labels, classes=classes)
        return WithProbe(body, self._fitted[body])


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A task of pictures on the features of a model: a linear probe is fitted for each model on `training`.

    Says how well a line tells the classes apart, not how well the model's own head does.
    """

    task: ImageAccuracy | Corrupted
    training: Training

    @property
    def name(self) -> str:
        """The inner task's."""
        return self.task.name

    def key(self) -> str:
        """The inner task's, and the pictures that the probe is fitted on."""
        ids = digest(self.training.images.ids)
        return f"{self.task.key()} probe=linear/1 train={self.training.images.sha256[:16]} ids=sha256:{ids}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The inner task's figures, of the probe.

        Raises:
            MeasureError: the model gives no features, or how it wants images is not known.
            DataError: an image cannot be read.
        """
        classes = max(self.task.images.classes, self.training.images.classes)
        module = self.training.classifier(model, classes, progress)
        note = f"by a linear probe fitted on {len(self.training.images):,} other pictures"
        found = self.task.run(replace(model, module=module), progress=progress)
        fitted = f"probe=linear/1 train={digest(self.training.images.ids)}"
        return tuple(
            replace(f, protocol=f"{f.protocol} {fitted}", note="; ".join(n for n in (f.note, note) if n)) for f in found
        )


def require_other(train: Images, test: Images) -> None:
    """Make sure that no picture of `test` is among those that a probe is fitted on.

    Raises:
        DataError: one is, pixel by pixel; it is named.
    """
    seen = dict(_digests(train))
    same = [(i, seen[d]) for d, i in _digests(test) if d in seen]
    if same:
        raise DataError(
            f"{len(same)} pictures of {test.source} are also in {train.source}, such as {same[0][0]} ({same[0][1]} "
            "there); a probe may not be judged on what it was fitted on, so take them out of one of the two"
        )


def _digests(images: Images) -> list[tuple[str, str]]:
    each = (images.pixels[torch.tensor([i])] for i in range(len(images)))
    found = [sha256(p.contiguous().numpy().tobytes()).hexdigest() for p in each]
    return list(zip(found, images.ids, strict=True))
