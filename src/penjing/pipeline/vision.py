"""Tasks of pictures, and of attacked texts, as people name them: `images:`, `corruptions:`, `probe:`, `attack:`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.data.images import Images, read_images
from penjing.errors import DataError, nearest
from penjing.tasks.images import COMMON, EXTRA, SEVERITIES, Corrupted, ImageAccuracy, WithProbe, features, fit_probe
from penjing.tasks.images.forward import grouped, scores
from penjing.tasks.images.preparation import Preparation, preparation
from penjing.tasks.images.probe import Probe
from penjing.tasks.task import Examined, Progress, Task

Labels = Literal["auto", "name", "index"]
LABELS: tuple[Labels, ...] = ("auto", "name", "index")
SETTINGS = {
    "images": ("size", "labels", "probe", "train"),
    "corruptions": ("size", "labels", "probe", "train", "kinds", "severities"),
    "probe": ("size", "train"),
}
"""What may stand after the path of each kind of task, as `size=224`."""
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
        return f"{self.task.key()} labels={self.labels} names=sha256:{_hash(self.task.images.names)}"

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


def outputs_of(images: Images, named: Mapping[int, str], how: Labels, model: str) -> tuple[tuple[int, ...], ...]:
    """The model's output for each class of the pictures; empty when label and output have the same number.

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
        ids = _hash(self.training.images.ids)
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
        fitted = f"probe=linear/1 train={_hash(self.training.images.ids)}"
        return tuple(
            replace(f, protocol=f"{f.protocol} {fitted}", note="; ".join(n for n in (f.note, note) if n)) for f in found
        )


def read_vision(kind: str, wish: str, name: str, limit: int | None, seed: int) -> Task:
    """The task `kind:wish`; `wish` is PATH[,LABELS][,setting=value...], or TRAIN,TEST of a probe.

    Raises:
        DataError: a path or setting is wrong, pictures cannot be read, or the probe would see what it is judged on.
        MissingExtraError: a folder is named and Pillow is not installed.
    """
    paths, told = parted(wish, SETTINGS[kind], kind)
    size = _whole(told, "size")
    source = told.pop("probe", None)
    if kind == "probe" and len(paths) == 2:
        source, paths = paths[0], paths[1:]
    images = _pictures(paths, size)
    labels = told.pop("labels", "auto")
    if labels not in LABELS:
        raise DataError(f"{kind}: labels is '{labels}'{nearest(labels, LABELS)}; needed one of {', '.join(LABELS)}")
    train: Images | None = None
    if source is not None:
        train = _pictures([source], size)
    elif kind == "probe":
        train, images = images.split((0.5, 0.5), seed=seed)
    count = _whole(told, "train")
    images = _taken(images, limit, seed)
    inner = _inner(kind, images, name, told, seed)
    if train is None:
        return Labelled(task=inner, labels=labels)
    train = _taken(train, count, seed)
    require_other(train, images)
    return Probed(task=inner, training=Training(images=train))


def _inner(kind: str, images: Images, name: str, told: dict[str, str], seed: int) -> ImageAccuracy | Corrupted:
    if kind != "corruptions":
        return ImageAccuracy(images=images, name=name, seed=seed)
    kinds = tuple(told["kinds"].split("+")) if "kinds" in told else COMMON
    kinds = (*COMMON, *EXTRA) if kinds == ("all",) else kinds
    try:
        severities = tuple(int(s) for s in told["severities"].split("+")) if "severities" in told else SEVERITIES
    except ValueError:
        given = told["severities"]
        raise DataError(f"severities is '{given}'; needed numbers joined by +, as severities=1+3+5") from None
    return Corrupted(images=images, kinds=kinds, severities=severities, seed=seed, name=name)


def parted(wish: str, allowed: Sequence[str], kind: str) -> tuple[list[str], dict[str, str]]:
    """(paths, settings) of `PATH,PATH,setting=value`.

    Raises:
        DataError: a setting is unknown or named twice, or there is no path.
    """
    if wish and Path(wish).exists():
        return [wish], {}
    paths: list[str] = []
    told: dict[str, str] = {}
    for part in wish.split(","):
        key, equals, value = part.partition("=")
        if not equals or Path(part).exists():
            paths.append(part)
        elif key not in allowed:
            raise DataError(f"{kind} has no setting '{key}'{nearest(key, allowed)}; there are {', '.join(allowed)}")
        elif key in told:
            raise DataError(f"{kind} has the setting '{key}' twice; name it once")
        else:
            told[key] = value
    if not any(paths):
        raise DataError(f"{kind} names no data; write {kind}:PATH, a folder, an .npz file or an idx file")
    return paths, told


def _pictures(paths: Sequence[str], size: int | None) -> Images:
    if len(paths) > 2:
        raise DataError(f"found {len(paths)} paths, {', '.join(paths)}; needed one, or an idx file and its labels")
    path = Path(paths[0])
    labels = Path(paths[1]) if len(paths) == 2 else None
    if labels is None and path.is_file() and path.suffix != ".npz":
        beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        labels = beside if beside != path and beside.is_file() else None
    return read_images(path, labels=labels, size=size)


def _taken(images: Images, count: int | None, seed: int) -> Images:
    return images.take(None if count is None else min(count, len(images)), seed=seed)


def _whole(told: dict[str, str], key: str) -> int | None:
    if (given := told.pop(key, None)) is None:
        return None
    if not given.isdigit() or int(given) < 1:
        raise DataError(f"{key} is '{given}', needed a whole number above 0")
    return int(given)


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


def _hash(rows: Sequence[Any]) -> str:
    return sha256("\0".join(map(str, rows)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
