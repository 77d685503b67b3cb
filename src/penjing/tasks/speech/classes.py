"""How often a model of sound names the right class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.data.features import Features
from penjing.data.sounds import Sounds
from penjing.errors import MeasureError
from penjing.tasks.images.accuracy import top
from penjing.tasks.images.forward import grouped
from penjing.tasks.images.labelled import digest, outputs_of
from penjing.tasks.task import Examined, Progress

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SoundAccuracy:
    """The share of recordings whose class has the highest score; classes are matched by name, or by number."""

    sounds: Sounds
    name: str
    batch: int = 8

    def key(self) -> str:
        """The protocol: everything that changes the figures."""
        return (
            f"sound_accuracy/{VERSION} sounds=sha256:{self.sounds.sha256[:16]} items={len(self.sounds)} "
            f"ids={digest(self.sounds.ids)}"
        )

    @torch.no_grad()
    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The accuracy.

        Raises:
            MeasureError: the model is no classifier.
            DataError: a recording cannot be read, or a class has no output.
            MissingExtraError: the packages that read sound are not installed.
        """
        if model.folder is None:
            raise MeasureError(f"{model.name} lies in no folder, so its feature extractor is not known; save it first")
        features, module = Features(model.folder), model.module
        config = getattr(module, "config", None)
        named = {int(k): str(v) for k, v in (getattr(config, "id2label", None) or {}).items()}
        outputs = outputs_of(self.sounds, named, "auto", model.name)
        first = next(p for p in module.parameters() if p.is_floating_point())
        rows: list[Tensor] = []
        for start in range(0, len(self.sounds), self.batch):
            places = range(start, min(start + self.batch, len(self.sounds)))
            made = features([self.sounds.wave(i, features.rate) for i in places])
            given = {
                k: v.to(first.device, first.dtype) if v.is_floating_point() else v.to(first.device)
                for k, v in made.items()
            }
            logits = getattr(module(**given), "logits", None)
            if logits is None or logits.dim() != 2:
                raise MeasureError(f"{model.name} ({type(module).__name__}) gives no score for each class")
            rows += list(logits.float().cpu())
            if progress:
                progress(len(rows), len(self.sounds))
        scores = torch.stack(rows)
        if outputs:
            scores = grouped(scores, outputs, len(self.sounds.names))
        if int(max(self.sounds.labels)) >= scores.shape[1]:
            raise MeasureError(
                f"{self.sounds.source} has {len(self.sounds.names)} classes and {model.name} {scores.shape[1]} outputs"
            )
        found = top(
            scores, torch.tensor(self.sounds.labels), self.sounds.ids, count=1, name=self.name, protocol=self.key()
        )
        return (Measurement(**{**vars(found), "unit": "share of recordings"}),)
