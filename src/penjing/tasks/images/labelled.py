"""Labelled pictures whose labels are matched with a model's outputs, each model's in its own order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, Protocol

from torch import Tensor, nn

from penjing.core import Measurement
from penjing.errors import DataError, nearest
from penjing.tasks.images.accuracy import ImageAccuracy
from penjing.tasks.images.corrupted import Corrupted
from penjing.tasks.images.forward import grouped, scores
from penjing.tasks.task import Examined, Progress

Labels = Literal["auto", "name", "index"]
LABELS: tuple[Labels, ...] = ("auto", "name", "index")
UNNAMED = re.compile(r"label_\d+")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A task of pictures whose labels are matched with a model's outputs, each model's in its own order.

    `labels` "name" takes the names in the model's `config.id2label`, "index" the label's number; "auto" takes names
    where both the pictures and the model have them.
    """

    task: ImageAccuracy | Corrupted
    labels: Labels = "auto"

    @property
    def name(self) -> str:
        """The inner task's."""
        return self.task.name

    def key(self) -> str:
        """The inner task's, and how labels are matched."""
        return f"{self.task.key()} labels={self.labels} names=sha256:{digest(self.task.images.names)}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The inner task's figures.

        Raises:
            MeasureError: the model is no classifier, or how it wants images is not known.
            DataError: a label has no output, or several, or an image cannot be read.
        """
        config = getattr(model.module, "config", None)
        named = {int(k): str(v) for k, v in (getattr(config, "id2label", None) or {}).items()}
        outputs = outputs_of(self.task.images, named, self.labels, model.name)
        module = Regrouped(model.module, outputs, self.task.images.classes) if outputs else model.module
        return self.task.run(replace(model, module=module), progress=progress)


class Regrouped(nn.Module):
    """A classifier whose scores are those of the wanted labels, in their order."""

    def __init__(self, body: nn.Module, outputs: Sequence[Sequence[int]], classes: int) -> None:
        super().__init__()
        self.body, self.outputs, self.classes = body, outputs, classes
        self.main_input_name = getattr(body, "main_input_name", "pixel_values")
        self.train(body.training)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[b classes], from prepared images [b c h w]."""
        return grouped(scores(self.body, pixel_values), self.outputs, self.classes)


class Named(Protocol):
    """Something with the names of its classes (none, where they have only numbers), and what it was read from."""

    @property
    def names(self) -> Sequence[str]:
        """The names, in the order of the labels."""
        ...

    @property
    def source(self) -> str:
        """For messages."""
        ...


def outputs_of(images: Named, named: Mapping[int, str], how: Labels, model: str) -> tuple[tuple[int, ...], ...]:
    """The model's output for each class of the pictures, or sounds; empty when label and output have the same number.

    Names are compared in lower case, and each of the synonyms between commas in a model's name counts.

    Raises:
        DataError: names are missing, match no output, or match several.
    """
    there = bool(named) and not all(UNNAMED.fullmatch(n.lower()) for n in named.values())
    numbered = bool(images.names) and all(n.isdigit() for n in images.names)
    if how == "index" or (how == "auto" and not (images.names and (there or numbered))):
        return ()
    if numbered and not (there and all(_plain(n) in map(_plain, named.values()) for n in images.names)):
        return tuple((int(n),) for n in images.names)
    if not images.names or not there:
        what = "the pictures have no class names" if not images.names else f"{model} names no labels in its config"
        raise DataError(f"{images.source}: {what}, so labels cannot be matched by name; set labels=index")
    places: dict[str, list[int]] = {}
    for place, name in named.items():
        for one in dict.fromkeys([_plain(name), *map(_plain, name.split(","))]):
            places.setdefault(one, []).append(place)
    if lost := [n for n in images.names if _plain(n) not in places]:
        hint = nearest(_plain(lost[0]), tuple(places))
        raise DataError(
            f"{images.source}: {len(lost)} of {len(images.names)} class names, such as '{lost[0]}', are no label of "
            f"{model}{hint}; rename the classes, set labels=index if the numbers agree, or fit a probe with probe=TRAIN"
        )
    for name in images.names:
        if len(found := places[_plain(name)]) > 1:
            raise DataError(
                f"{images.source}: the class '{name}' is the name of outputs {', '.join(map(str, found))} of {model}; "
                "set labels=index, or give the classes names of their own"
            )
    return tuple((places[_plain(n)][0],) for n in images.names)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def digest(rows: Sequence[object]) -> str:
    """16 hex digits over some texts in their order."""
    return sha256("\0".join(map(str, rows)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
